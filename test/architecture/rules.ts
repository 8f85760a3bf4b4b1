/**
 * DESIGN section 3, "who may import whom", as data and as functions over the text of files. A file imports its own
 * layer and those below it; types count as well, for whoever names a type knows whose it is.
 */
import { posix } from 'node:path'
import { type Import, readSource } from './source.ts'

/** From the bottom up: the names are files or folders of `src/`. */
const layers = [
  ['errors', 'config', 'log', 'secret', 'redact', 'clean-text', 'portions', 'telemetry'],
  ['db'],
  ['tenants'],
  ['credentials', 'holds', 'cache', 'audit'],
  ['services'],
  ['task'],
  ['engines', 'schedules', 'runs'],
  ['auth'],
  // Puts the parts together: the platform, and what an app imports.
  ['platform', 'default-platform', 'index', 'client', 'trigger'],
  ['doctor', 'http', 'console', 'cli', 'testing'],
]

/** These stand alone at the top. */
const importedByNobody = ['console', 'cli']

/** Who alone may know a library: a folder, or the files whose names begin so (stripe.ts, resend-client.ts). */
const owners: Record<string, string> = {
  'pg-boss': 'src/engines/pg-boss/',
  '@trigger.dev/sdk': 'src/engines/trigger/',
  '@redis/client': 'src/cache/redis',
  stripe: 'src/services/stripe',
  resend: 'src/services/resend',
  '@mux/mux-node': 'src/services/mux',
  assemblyai: 'src/services/assemblyai',
  '@anthropic-ai/sdk': 'src/services/anthropic',
}

/** What a task file may import beside other task files. */
const forTasks = ['@cgk-platform/jobs', 'zod', 'hono/html']

/** The file that Trigger.dev finds the tasks in, and what it alone may import. */
const discovered = { path: 'tasks/index.trigger.ts', imports: '@cgk-platform/jobs/trigger' }

const environmentReader = 'src/config.ts'

const vagueName = /^(utils?|helpers?|common|managers?|misc|shared)$/

/** Files by their path from the root of the repo, with `/`. */
export type Files = Record<string, string>

/** Every breach of the rules, as a sentence that names the file. */
export function findBreaches(files: Files): string[] {
  const breaches = Object.keys(files).flatMap((path) => breachesOfName(path))
  const loads: Record<string, string[]> = {}
  for (const [path, code] of Object.entries(files)) {
    const { imports, readsEnvironment } = readSource(code)
    breaches.push(...imports.flatMap((found) => breachesOfImport(path, found, files)))
    if (readsEnvironment && path.startsWith('src/') && path !== environmentReader) {
      breaches.push(`${path} reads process.env; only ${environmentReader} does.`)
    }
    loads[path] = imports
      .filter(({ kind, specifier }) => kind === 'value' && specifier.startsWith('.'))
      .map(({ specifier }) => target(path, specifier))
  }
  return [...breaches, ...findCycles(loads)]
}

function breachesOfName(path: string): string[] {
  const names = path.split('/').map((name) => name.replace(/(\.test)?\.\w+$/, ''))
  const vague = names.filter((name) => vagueName.test(name)).map((name) => `${path}: "${name}" says nothing.`)
  const homeless =
    path.startsWith('src/') && layerOf(path) < 0 ? [`${path} belongs to no layer; give it one.`] : []
  return [...vague, ...homeless]
}

function breachesOfImport(path: string, { specifier }: Import, files: Files): string[] {
  if (!path.startsWith('src/') && !path.startsWith('tasks/')) return []
  const breach = (why: string) => [`${path} imports ${specifier}: ${why}.`]
  if (!specifier.startsWith('.')) return breachOfLibrary(path, specifier, breach)
  const to = target(path, specifier)
  if (!(to in files)) return breach('there is no such file')
  if (path.startsWith('tasks/'))
    return to.startsWith('tasks/') ? [] : breach('a task imports only the public API')
  if (!to.startsWith('src/')) return breach('src/ stands on nothing outside it')
  if (partOf(to) !== partOf(path) && importedByNobody.includes(partOf(to)))
    return breach('nothing imports it')
  if (layerOf(to) > layerOf(path)) return breach('a lower layer does not know a higher one')
  return []
}

function breachOfLibrary(path: string, specifier: string, breach: (why: string) => string[]): string[] {
  if (path.startsWith('tasks/')) {
    if (path === discovered.path && specifier === discovered.imports) return []
    return forTasks.includes(specifier) ? [] : breach('a task imports only the public API, zod and hono/html')
  }
  if (specifier.startsWith('@cgk-platform/jobs')) return breach('src/ imports its own files by their path')
  const library = Object.keys(owners).find((name) => specifier === name || specifier.startsWith(`${name}/`))
  const owner = specifier.startsWith('@shopify/') ? 'src/services/shopify' : library && owners[library]
  return owner && !path.startsWith(owner) ? breach(`only ${owner} knows it`) : []
}

/** `src/db/pool.ts` -> `db`, `src/config.ts` -> `config` */
function partOf(path: string): string {
  return path.split('/')[1]!.replace(/\.ts$/, '')
}

function layerOf(path: string): number {
  return layers.findIndex((parts) => parts.includes(partOf(path)))
}

function target(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier)
}

/** Each cycle once, as the path that leads back to its start. */
function findCycles(loads: Record<string, string[]>): string[] {
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (path: string, above: string[]): void => {
    const start = above.indexOf(path)
    if (start >= 0) cycles.push(`A circle of imports: ${[...above.slice(start), path].join(' -> ')}.`)
    if (start >= 0 || done.has(path)) return
    for (const next of loads[path] ?? []) walk(next, [...above, path])
    done.add(path)
  }
  for (const path of Object.keys(loads)) walk(path, [])
  return cycles
}
