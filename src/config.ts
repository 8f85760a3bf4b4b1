/**
 * Environment -> one validated, typed object. The only reader of `process.env` in the project.
 *
 * Every setting can also be given to `configure(options)`, which wins over the environment.
 */
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { ConfigError } from './errors.ts'

export interface Config {
  /** Where Postgres is. Null: the platform starts its own in `dataDir`. */
  databaseUrl: string | null
  /** A URL that reaches Postgres itself when `databaseUrl` is a PgBouncer in transaction mode: LISTEN needs it. */
  directUrl: string | null
  /** Folder of the embedded Postgres. */
  dataDir: string
  /** Connections of this process, besides the one that listens. */
  poolSize: number
  engine: 'pg-boss' | 'inline'
  /** Runs that one worker has in flight at once. */
  concurrency: number
  /** How long a stopping worker waits for its runs before it hands them back, in milliseconds. */
  stopTimeoutMs: number
  /** Largest payload, as JSON text, in bytes. Larger things belong in a table or an object store. */
  maxPayloadBytes: number
  /** Whether starting the platform migrates the database: `auto`, or `off` where deploys run `cgk migrate`. */
  migrate: 'auto' | 'off'
  /** Folder with `public/` and `tenant/` migrations. */
  migrationsDir: string
  /** Module whose default export is the list of tasks. */
  tasksModule: string | null
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
}

/** In the repo and in the published package alike, `migrations/` lies beside the folder of this file. */
const ownMigrations = fileURLToPath(new URL('../migrations', import.meta.url))

const wholeNumber = (fallback: number, min: number, max: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback)

const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, 'must start with postgres:// or postgresql://')
  .refine(
    (url) => URL.canParse(url),
    'is not a URL: write special characters in the password as %23 and the like',
  )
  .nullable()
  .default(null)

const environment = z.object({
  DATABASE_URL: postgresUrl,
  DATABASE_DIRECT_URL: postgresUrl,
  JOBS_DATA_DIR: z.string().default(join('.cgk', 'postgres')),
  JOBS_POOL_SIZE: wholeNumber(10, 2, 500),
  JOBS_ENGINE: z.enum(['pg-boss', 'inline']).default('pg-boss'),
  JOBS_CONCURRENCY: wholeNumber(Math.max(50, availableParallelism() * 10), 1, 10_000),
  JOBS_STOP_TIMEOUT_MS: wholeNumber(25_000, 0, 3_600_000),
  JOBS_MAX_PAYLOAD_BYTES: wholeNumber(1024 * 1024, 1024, 64 * 1024 * 1024),
  JOBS_MIGRATE: z.enum(['auto', 'off']).default('auto'),
  JOBS_MIGRATIONS_DIR: z.string().default(ownMigrations),
  JOBS_TASKS: z.string().nullable().default(null),
  JOBS_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
})

export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  // An empty variable counts as unset: `DATABASE_URL= npm start` must not mean "connect to nowhere".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = environment.safeParse(given)
  if (!parsed.success) {
    // zod's messages name the rule, never the value: a URL may hold a password.
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new ConfigError(`The environment is not valid: ${problems.join('; ')}`)
  }
  const read = parsed.data
  return {
    databaseUrl: read.DATABASE_URL,
    directUrl: read.DATABASE_DIRECT_URL,
    dataDir: resolve(read.JOBS_DATA_DIR),
    poolSize: read.JOBS_POOL_SIZE,
    engine: read.JOBS_ENGINE,
    concurrency: read.JOBS_CONCURRENCY,
    stopTimeoutMs: read.JOBS_STOP_TIMEOUT_MS,
    maxPayloadBytes: read.JOBS_MAX_PAYLOAD_BYTES,
    migrate: read.JOBS_MIGRATE,
    migrationsDir: resolve(read.JOBS_MIGRATIONS_DIR),
    tasksModule: read.JOBS_TASKS === null ? null : resolve(read.JOBS_TASKS),
    logLevel: read.JOBS_LOG_LEVEL,
  }
}

/** What surrounds a test run. */
export interface TestConfig {
  /** A server whose login may create databases; otherwise tests start an embedded one. */
  serverUrl: string | undefined
  /** A migrated database on that server, without tenants, for test platforms to copy. */
  template: string | undefined
}

export function readTestConfig(env: NodeJS.ProcessEnv = process.env): TestConfig {
  return {
    serverUrl: env.CGK_TEST_SERVER_URL || env.DATABASE_URL || undefined,
    template: env.CGK_TEST_TEMPLATE || undefined,
  }
}
