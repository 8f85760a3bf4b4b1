import { resolve } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type Config, readConfig } from '../src/config.ts'
import { ConfigError } from '../src/errors.ts'

test('nothing said', () => {
  expect(readConfig({}, {})).toMatchObject({
    databaseUrl: null,
    directUrl: null,
    dataDir: resolve('.cgk/postgres'),
    poolSize: 10,
    engine: 'pg-boss',
    migrationsDir: resolve('migrations'),
    tasksModule: null,
    trustedProxies: 0,
  })
})

test('an option wins over its variable, also where that cannot be used; undefined says nothing', () => {
  const env = {
    DATABASE_URL: 'postgres://there/jobs',
    JOBS_POOL_SIZE: 'many',
    JOBS_CONCURRENCY: '7',
    JOBS_TASKS: '',
  }
  const options = { databaseUrl: null, poolSize: 3, concurrency: undefined } as never
  expect(readConfig(options, env)).toMatchObject({
    databaseUrl: null,
    poolSize: 3,
    concurrency: 7,
    tasksModule: null,
  })
})

test('paths are resolved, wherever they come from', () => {
  const paths = { dataDir: 'data', migrationsDir: './sql', tasksModule: 'app/tasks.ts' }
  const env = { JOBS_DATA_DIR: 'data', JOBS_MIGRATIONS_DIR: './sql', JOBS_TASKS: 'app/tasks.ts' }
  const resolved = {
    dataDir: resolve('data'),
    migrationsDir: resolve('sql'),
    tasksModule: resolve('app/tasks.ts'),
  }
  expect(readConfig(paths, {})).toMatchObject(resolved)
  expect(readConfig({}, env)).toMatchObject(resolved)
})

test('how long runs are kept: a duration in the environment, milliseconds in code', () => {
  const day = 86_400_000
  expect(readConfig({}, {})).toMatchObject({ keepCompletedMs: 7 * day, keepFailedMs: 90 * day })
  const env = { JOBS_KEEP_COMPLETED: '36h', JOBS_KEEP_FAILED: '1y' }
  expect(readConfig({ keepFailedMs: 5 * day }, env)).toMatchObject({
    keepCompletedMs: 1.5 * day,
    keepFailedMs: 5 * day,
  })
  for (const text of ['long', '5m', '11y', '-1d']) {
    expect(() => readConfig({}, { JOBS_KEEP_FAILED: text })).toThrow(
      /^The configuration is not valid: JOBS_KEEP_FAILED: /,
    )
  }
})

test('Trigger.dev: where it is, and a key that nobody gets to see', () => {
  expect(readConfig({}, {})).toMatchObject({
    triggerApiUrl: 'https://api.trigger.dev',
    triggerSecretKey: null,
    triggerPreviewBranch: null,
  })
  const env = {
    JOBS_ENGINE: 'trigger.dev',
    TRIGGER_SECRET_KEY: 'tr_prod_hush',
    TRIGGER_API_URL: 'http://trigger.local:8030/',
    TRIGGER_PREVIEW_BRANCH: 'feature/x',
  }
  const config = readConfig({}, env)
  expect(config).toMatchObject({
    engine: 'trigger.dev',
    triggerApiUrl: 'http://trigger.local:8030',
    triggerPreviewBranch: 'feature/x',
  })
  expect(config.triggerSecretKey?.reveal()).toBe('tr_prod_hush')
  expect(inspect(config) + JSON.stringify(config)).not.toContain('hush')
  // As the command line gives it on.
  expect(readConfig(config, {}).triggerSecretKey?.reveal()).toBe('tr_prod_hush')
})

describe('refused by name, without the value', () => {
  const options: [options: Record<string, unknown>, message: RegExp][] = [
    [{ databaseUrl: 'mysql://jobs:hush@there/jobs' }, /databaseUrl: must start with/],
    [{ databaseUrl: 'postgres://jobs:hush#@there/jobs' }, /databaseUrl: is not a URL/],
    [{ directUrl: 5 }, /directUrl/],
    [{ redisUrl: 'http://:hush@there' }, /redisUrl: must start with redis/],
    [{ redisUrl: 'redis://:hush#@there:x' }, /redisUrl: is not a URL/],
    [{ dataDir: '' }, /dataDir: must be a path/],
    [{ migrationsDir: null }, /migrationsDir/],
    [{ tasksModule: 'hush\0' }, /tasksModule: must be a path/],
    [{ poolSize: 1 }, /poolSize/],
    [{ poolSize: '10' }, /poolSize/],
    [{ concurrency: Number.NaN }, /concurrency/],
    [{ concurrency: 1.5 }, /concurrency/],
    [{ concurrency: true }, /concurrency/],
    [{ stopTimeoutMs: Number.POSITIVE_INFINITY }, /stopTimeoutMs/],
    [{ maxPayloadBytes: 1 }, /maxPayloadBytes/],
    [{ engine: 'hush' }, /engine/],
    [{ triggerSecretKey: 'hush hush' }, /triggerSecretKey: must be a secret key/],
    [{ triggerSecretKey: 'hush\n' }, /triggerSecretKey: must be a secret key/],
    [{ triggerApiUrl: 'ftp://hush' }, /triggerApiUrl: must be a URL/],
    [{ triggerPreviewBranch: 'hush hush' }, /triggerPreviewBranch: must be the name of a branch/],
    [{ migrate: true }, /migrate/],
    [{ logLevel: 'hush' }, /logLevel/],
    [{ databaseURL: 'hush', pool: 5 }, /there is no setting databaseURL, pool/],
  ]
  test.each(options)('%j', (given, message) => {
    const reading = () => readConfig(given as Partial<Config>, {})
    expect(reading).toThrow(ConfigError)
    expect(reading).toThrow(message)
    expect(reading).not.toThrow(/hush/)
  })

  test('every problem at once, each by the name it was given under', () => {
    const env = { DATABASE_URL: 'hush', JOBS_POOL_SIZE: '3x' }
    expect(() => readConfig({ migrate: 'never' as never }, env)).toThrow(
      /^The configuration is not valid: DATABASE_URL: .*; JOBS_POOL_SIZE: .*; migrate: [^;]*$/,
    )
  })
})
