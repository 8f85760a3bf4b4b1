import { resolve } from 'node:path'
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

describe('refused by name, without the value', () => {
  const options: [options: Record<string, unknown>, message: RegExp][] = [
    [{ databaseUrl: 'mysql://jobs:hush@there/jobs' }, /databaseUrl: must start with/],
    [{ databaseUrl: 'postgres://jobs:hush#@there/jobs' }, /databaseUrl: is not a URL/],
    [{ directUrl: 5 }, /directUrl/],
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
