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

describe('the branch of Trigger.dev', () => {
  const branchOf = (env: Record<string, string>) =>
    readConfig({ engine: 'trigger.dev' }, env).triggerPreviewBranch

  test('is that of a preview, else that of development, and never one of Vercel', () => {
    expect(branchOf({ TRIGGER_PREVIEW_BRANCH: 'a/b', TRIGGER_DEV_BRANCH: 'mine' })).toBe('a/b')
    expect(branchOf({ TRIGGER_PREVIEW_BRANCH: '', TRIGGER_DEV_BRANCH: 'mine' })).toBe('mine')
    // So Trigger.dev's CLI calls development without a branch.
    expect(branchOf({ TRIGGER_DEV_BRANCH: 'default' })).toBe(null)
    expect(branchOf({ TRIGGER_PREVIEW_BRANCH: 'default' })).toBe('default')
    expect(branchOf({ VERCEL_GIT_COMMIT_REF: 'main' })).toBe(null)
  })

  test('is refused by the name it was given under, where no header carries it', () => {
    expect(() => branchOf({ TRIGGER_DEV_BRANCH: 'größer' })).toThrow(/TRIGGER_DEV_BRANCH: .* in ASCII/)
    expect(() => branchOf({ TRIGGER_PREVIEW_BRANCH: 'a b' })).toThrow(/TRIGGER_PREVIEW_BRANCH: /)
  })
})

test('what is set for Trigger.dev stops no process of another engine', () => {
  const env = {
    TRIGGER_SECRET_KEY: 'two words',
    TRIGGER_API_URL: 'nowhere',
    TRIGGER_DEV_BRANCH: 'größer',
  }
  for (const engine of ['pg-boss', 'inline'] as const) {
    expect(readConfig({ engine }, env)).toMatchObject({ engine, triggerSecretKey: null })
  }
  expect(readConfig({}, { ...env, JOBS_ENGINE: 'inline' }).engine).toBe('inline')
  for (const name of Object.keys(env)) {
    expect(() => readConfig({}, { ...env, JOBS_ENGINE: 'trigger.dev' })).toThrow(name)
    expect(() => readConfig({ engine: 'trigger.dev' }, { ...env, JOBS_ENGINE: 'inline' })).toThrow(name)
  }
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
