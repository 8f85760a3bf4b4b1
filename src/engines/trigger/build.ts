/**
 * What Trigger.dev would make of the project: its own CLI's bundler and indexer, without login and without network. They
 * are reached through the CLI's inner files, which no version promises to keep; this file alone knows them, and reads
 * what they answer with care.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { ConfigError } from '../../errors.ts'

export const buildTargets = ['dev', 'deploy'] as const
export type BuildTarget = (typeof buildTargets)[number]

/** Of the CLI's build manifest, what is needed further on; the rest is passed on as it is. */
const builtShape = z.looseObject({
  runtime: z.string(),
  indexWorkerEntryPoint: z.string(),
  runWorkerEntryPoint: z.string(),
})

const indexShape = z.looseObject({
  tasks: z.array(
    z.looseObject({
      id: z.string(),
      filePath: z.string().optional(),
      retry: z.record(z.string(), z.unknown()).optional(),
      maxDuration: z.number().optional(),
      ttl: z.union([z.string(), z.number()]).optional(),
      queue: z.looseObject({ name: z.string().optional() }).optional(),
      payloadSchema: z.unknown().optional(),
    }),
  ),
  queues: z
    .array(z.looseObject({ name: z.string(), concurrencyLimit: z.number().nullish() }))
    .optional()
    .default([]),
})

/** The catalogue of a deploy, as Trigger.dev's platform would get it. */
export type TaskIndex = z.output<typeof indexShape>

export interface Built {
  index: TaskIndex
  build: z.output<typeof builtShape>
  /** Where the bundle lies. */
  folder: string
  /** Removes the bundle. */
  remove(): Promise<void>
}

/**
 * Bundles the project and imports the bundle in a process of its own, with an empty environment: what Trigger.dev does
 * before it knows any variable.
 *
 * @throws what the bundler or the indexer says; ConfigError where the CLI or the project's trigger.config.ts is missing.
 */
export async function buildForTrigger(projectFolder: string, target: BuildTarget): Promise<Built> {
  const cli = openCli(projectFolder)
  const config = await loadConfig(cli, projectFolder)
  // Below the project, so that what is not bundled is found in its node_modules.
  const parent = join(projectFolder, '.trigger', 'tmp')
  await mkdir(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, `check-${target}-`))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const { buildWorker } = await cli<BuildModule>('build/buildWorker.js')
    const build = builtShape.parse(
      await buildWorker({
        target,
        environment: target === 'dev' ? 'dev' : 'prod',
        destination: folder,
        resolvedConfig: config,
        rewritePaths: false,
        // Which packages are to stay outside is asked of Trigger.dev's server otherwise.
        forcedExternals: [],
        listener: {},
      }),
    )
    const index = await indexBuild(cli, folder, build)
    return { index, build, folder, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** What went wrong in the project, in lines for its developer. Null: an error of ours or of the machine. */
export function readBuildProblems(error: unknown): string[] | null {
  const read = problemShape.safeParse(error)
  if (!read.success) return null
  const { importErrors, collisions, errors } = read.data
  const lines = [
    ...(importErrors ?? []).map(({ file, message }) => `${file} cannot be imported: ${message}`),
    ...(collisions ?? []).map(
      ({ id, filePaths }) => `two tasks have the id ${id}: ${[...new Set(filePaths)].join(', ')}`,
    ),
    ...(errors ?? []).map(({ text, location }) => (location ? `${location.file}: ${text}` : text)),
  ]
  return lines.length > 0 ? lines : null
}

const problemShape = z.object({
  importErrors: z.array(z.object({ file: z.string(), message: z.string() })).optional(),
  collisions: z.array(z.object({ id: z.string(), filePaths: z.array(z.string()) })).optional(),
  /** esbuild's. */
  errors: z
    .array(z.object({ text: z.string(), location: z.object({ file: z.string() }).nullable() }))
    .optional(),
})

async function indexBuild(
  cli: Cli,
  folder: string,
  build: z.output<typeof builtShape>,
): Promise<z.output<typeof indexShape>> {
  const buildManifestPath = join(folder, 'build.json')
  await writeFile(buildManifestPath, JSON.stringify(build))
  const { indexWorkerManifest } = await cli<IndexModule>('indexing/indexWorkerManifest.js')
  const index = await indexWorkerManifest({
    runtime: build.runtime,
    indexWorkerPath: build.indexWorkerEntryPoint,
    buildManifestPath,
    nodeOptions: '',
    env: {},
    cwd: folder,
  })
  await writeFile(join(folder, 'index.json'), JSON.stringify(index))
  return indexShape.parse(index)
}

// ── the CLI's inner files ───────────────────────────────────────────────────────────────────────────────────

/** Imports a file of the CLI by its path: its package exports none of them. */
export type Cli = <Module>(file: string) => Promise<Module>

interface ConfigModule {
  loadConfig(options: { cwd: string; warn: boolean }): Promise<{ configFile?: string }>
}

interface BuildModule {
  buildWorker(options: Record<string, unknown>): Promise<unknown>
}

interface IndexModule {
  indexWorkerManifest(options: Record<string, unknown>): Promise<unknown>
}

/** @throws ConfigError where the project has not installed it. */
export function openCli(projectFolder: string): Cli {
  const requireFrom = createRequire(join(projectFolder, 'package.json'))
  let folder: string
  try {
    folder = join(dirname(requireFrom.resolve('trigger.dev/package.json')), 'dist', 'esm')
  } catch (cause) {
    throw new ConfigError(
      `Trigger.dev's CLI is not installed in ${projectFolder}. Install it: npm install --save-dev trigger.dev@4.8.3`,
      { cause },
    )
  }
  return async (file) => await import(pathToFileURL(join(folder, file)).href)
}

async function loadConfig(cli: Cli, projectFolder: string): Promise<unknown> {
  const { loadConfig: load } = await cli<ConfigModule>('config.js')
  try {
    return await load({ cwd: projectFolder, warn: false })
  } catch (cause) {
    throw new ConfigError(
      `Trigger.dev's CLI does not take the trigger.config.ts of ${projectFolder}: ${(cause as Error).message}`,
      { cause },
    )
  }
}
