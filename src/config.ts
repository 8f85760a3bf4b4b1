/**
 * Environment -> one validated, typed object. The only reader of `process.env` in the project.
 *
 * Every setting can also be given to `configure(options)`, which wins over the environment.
 */
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import ms, { type StringValue } from 'ms'
import { z } from 'zod'
import { ConfigError } from './errors.ts'
import { Secret } from './secret.ts'

export interface Config {
  /** Where Postgres is. Null: the platform starts its own in `dataDir`. */
  databaseUrl: string | null
  /** A URL that reaches Postgres itself when `databaseUrl` is a PgBouncer in transaction mode: LISTEN needs it. */
  directUrl: string | null
  /** Folder of the embedded Postgres. */
  dataDir: string
  /** Connections of this process, besides the one that listens. */
  poolSize: number
  engine: 'pg-boss' | 'trigger.dev' | 'inline'
  /** Secret key of the Trigger.dev environment that runs are triggered in. Null: this process triggers nothing there. */
  triggerSecretKey: Secret<string> | null
  /** Where Trigger.dev is: its cloud, or a server of one's own. */
  triggerApiUrl: string
  /** The branch of that environment, if it is a preview or a named branch of development. */
  triggerPreviewBranch: string | null
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
  /** Keys of 32 bytes that encrypt credentials: the first encrypts, all decrypt. Given as base64 or hex, with commas. */
  encryptionKeys: Secret<readonly Buffer[]>
  /** The same for the credentials of Shopify. */
  shopifyEncryptionKeys: Secret<readonly Buffer[]>
  /** By service: where it is, if not at the provider's own address (tests, proxies), and how long a request may take. */
  services: Readonly<Record<string, ServiceSettings>>
  /** Where providers reach this platform's webhooks, without a slash at the end. */
  publicUrl: string | null
  /** Runs that completed, were cancelled or expired are kept so long after they ended, in milliseconds. */
  keepCompletedMs: number
  /** Failed ones. */
  keepFailedMs: number
  /** Port of `cgk serve`. */
  httpPort: number
  /** Proxies of one's own that a request passes before it is here. Each adds an address to X-Forwarded-For. */
  trustedProxies: number
  /** Tenants that have figures of their own in metrics; the others are one. */
  metricsTenants: number
  /** Where the caches of tenants are kept. Null: in Postgres. */
  redisUrl: string | null
}

export interface ServiceSettings {
  baseUrl?: string | undefined
  timeoutMs?: number | undefined
}

/** As `configure` takes it: keys are texts there. */
export interface ConfigOptions
  extends Partial<Omit<Config, 'encryptionKeys' | 'shopifyEncryptionKeys' | 'triggerSecretKey'>> {
  triggerSecretKey?: string | Secret<string> | null
  encryptionKeys?: string | Secret<readonly Buffer[]>
  shopifyEncryptionKeys?: string | Secret<readonly Buffer[]>
}

/** In the repo and in the published package alike, `migrations/` lies beside the folder of this file. */
const ownMigrations = fileURLToPath(new URL('../migrations', import.meta.url))

const wholeNumber = (fallback: number, min: number, max: number) =>
  z.number().int().min(min).max(max).default(fallback)

const dayMs = 86_400_000

/** Between an hour and ten years. */
const retention = (days: number) =>
  z
    .number("must be a duration like '12h' or '30d'")
    .int()
    .min(dayMs / 24)
    .max(3650 * dayMs)
    .default(days * dayMs)

const url = (start: RegExp, rule: string) =>
  z
    .string()
    .regex(start, rule)
    .refine(
      (given) => URL.canParse(given),
      'is not a URL: write special characters in the password as %23 and the like',
    )
    .nullable()
    .default(null)

const postgresUrl = url(/^postgres(ql)?:\/\//, 'must start with postgres:// or postgresql://')

const path = z
  .string()
  .regex(/^[^\0]+$/, 'must be a path')
  .transform((given) => resolve(given))

const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' })
  .transform((url) => url.replace(/\/+$/, ''))

const keyBytes = 32

/** Base64, base64url or hex. */
function readKey(text: string): Buffer {
  return /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64')
}

const keyList = z.union([
  z.instanceof(Secret<readonly Buffer[]>),
  z.string().transform((text, context) => {
    const keys = text
      .split(/[\s,]+/)
      .filter((key) => key !== '')
      .map(readKey)
    const wrong = keys.findIndex((key) => key.length !== keyBytes)
    if (wrong < 0) return new Secret<readonly Buffer[]>(keys)
    const message = `key ${wrong + 1} has ${keys[wrong]!.length} bytes; a key has ${keyBytes} (cgk credential:key makes one)`
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  }),
])

const secretKey = z.union([
  z.instanceof(Secret<string>),
  z
    .string()
    // It travels in a header, and what a header refuses is quoted in its error.
    .regex(/^[\x21-\x7e]+$/, 'must be a secret key like tr_prod_..., without spaces')
    .transform((key) => new Secret(key)),
])

const settings = z.strictObject({
  databaseUrl: postgresUrl,
  directUrl: postgresUrl,
  dataDir: path.prefault(join('.cgk', 'postgres')),
  poolSize: wholeNumber(10, 2, 500),
  engine: z.enum(['pg-boss', 'trigger.dev', 'inline']).default('pg-boss'),
  triggerSecretKey: secretKey.nullable().default(null),
  triggerPreviewBranch: z
    .string()
    // It travels in a header, which carries no others.
    .regex(
      /^[\x21-\x7e]+$/,
      'must be the name of a branch, in ASCII letters, digits and signs, without spaces',
    )
    .nullable()
    .default(null),
  triggerApiUrl: httpUrl.prefault('https://api.trigger.dev'),
  concurrency: wholeNumber(Math.max(50, availableParallelism() * 10), 1, 10_000),
  stopTimeoutMs: wholeNumber(25_000, 0, 3_600_000),
  maxPayloadBytes: wholeNumber(1024 * 1024, 1024, 64 * 1024 * 1024),
  migrate: z.enum(['auto', 'off']).default('auto'),
  migrationsDir: path.prefault(ownMigrations),
  tasksModule: path.nullable().default(null),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  encryptionKeys: keyList.prefault(''),
  shopifyEncryptionKeys: keyList.prefault(''),
  services: z
    .record(
      z.string(),
      z.strictObject({
        baseUrl: httpUrl.optional(),
        timeoutMs: z.number().int().min(10).max(600_000).optional(),
      }),
      { error: 'must be an object like {"stripe":{"baseUrl":"http://127.0.0.1:4010","timeoutMs":10000}}' },
    )
    .default({}),
  publicUrl: httpUrl.nullable().default(null),
  keepCompletedMs: retention(7),
  keepFailedMs: retention(90),
  httpPort: wholeNumber(3000, 0, 65_535),
  trustedProxies: wholeNumber(0, 0, 10),
  metricsTenants: wholeNumber(100, 0, 1_000),
  redisUrl: url(/^rediss?:\/\//, 'must start with redis:// or rediss://'),
} satisfies Record<keyof Config, z.ZodType>)

type ReadVariable = (text: string, name: string) => unknown

/** The variable of each setting, how to read one that is no text, and another one that counts where it is not set. */
const variables: Record<keyof Config, [name: string, read?: ReadVariable, otherwise?: string]> = {
  databaseUrl: ['DATABASE_URL'],
  directUrl: ['DATABASE_DIRECT_URL'],
  dataDir: ['JOBS_DATA_DIR'],
  poolSize: ['JOBS_POOL_SIZE', Number],
  engine: ['JOBS_ENGINE'],
  triggerSecretKey: ['TRIGGER_SECRET_KEY'],
  triggerApiUrl: ['TRIGGER_API_URL'],
  triggerPreviewBranch: ['TRIGGER_PREVIEW_BRANCH', readBranch, 'TRIGGER_DEV_BRANCH'],
  concurrency: ['JOBS_CONCURRENCY', Number],
  stopTimeoutMs: ['JOBS_STOP_TIMEOUT_MS', Number],
  maxPayloadBytes: ['JOBS_MAX_PAYLOAD_BYTES', Number],
  migrate: ['JOBS_MIGRATE'],
  migrationsDir: ['JOBS_MIGRATIONS_DIR'],
  tasksModule: ['JOBS_TASKS'],
  logLevel: ['JOBS_LOG_LEVEL'],
  encryptionKeys: ['INTEGRATION_ENCRYPTION_KEY'],
  shopifyEncryptionKeys: ['SHOPIFY_TOKEN_ENCRYPTION_KEY'],
  services: ['JOBS_SERVICES', readJson],
  publicUrl: ['JOBS_PUBLIC_URL'],
  keepCompletedMs: ['JOBS_KEEP_COMPLETED', readDuration],
  keepFailedMs: ['JOBS_KEEP_FAILED', readDuration],
  httpPort: ['JOBS_HTTP_PORT', Number],
  trustedProxies: ['JOBS_TRUSTED_PROXIES', Number],
  metricsTenants: ['JOBS_METRICS_TENANTS', Number],
  redisUrl: ['REDIS_URL'],
}

/** @throws ConfigError that names every setting that cannot be used, as it was given, and no value. */
export function readConfig(options: ConfigOptions = {}, env: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const parsed = settings.safeParse({ ...readEnvironment(env, given.engine), ...given })
  if (parsed.success) return hidePasswords(parsed.data)
  const nameOf = (setting: keyof Config) => (setting in given ? setting : variableOf(setting, env))
  // zod's messages name the rule, never the value: a URL may hold a password.
  const problems = parsed.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `there is no setting ${issue.keys.join(', ')}`
      : `${[nameOf(issue.path[0] as keyof Config), ...issue.path.slice(1).map(String)].join('.')}: ${sayings(issue)}`,
  )
  throw new ConfigError(`The configuration is not valid: ${problems.join('; ')}`)
}

/** Of a union, what its last form says: the one that people write. */
function sayings(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_union') return issue.message
  return issue.errors.at(-1)?.[0]?.message ?? issue.message
}

/** A URL of Postgres, of Redis or of a proxy has a password in it: whoever prints or logs the configuration must not show it. */
function hidePasswords(config: Config): Config {
  const hide = (url: string | null) =>
    url?.replace(/(:\/\/[^:@/]*):[^@/]*@/, '$1:[secret]@').replace(/(password=)[^&]*/, '$1[secret]') ?? null
  const visible = () => ({
    ...config,
    databaseUrl: hide(config.databaseUrl),
    directUrl: hide(config.directUrl),
    redisUrl: hide(config.redisUrl),
    services: Object.fromEntries(
      Object.entries(config.services).map(([name, { baseUrl, ...rest }]) => [
        name,
        baseUrl === undefined ? rest : { baseUrl: hide(baseUrl), ...rest },
      ]),
    ),
  })
  return Object.defineProperties(config, {
    toJSON: { value: visible },
    [inspect.custom]: { value: visible },
  })
}

/** What is no JSON is left as it is, for the schema to refuse. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** '12h', '30d', or a number of milliseconds. What is none is left as it is, for the schema to refuse. */
function readDuration(text: string): unknown {
  return (text.length <= 100 && ms(text as StringValue)) || text
}

/** One setting that is given elsewhere, by the same rule. @throws ConfigError. */
export function readConcurrency(value: unknown): number {
  const parsed = settings.shape.concurrency.safeParse(value)
  if (parsed.success) return parsed.data
  throw new ConfigError(`concurrency: ${parsed.error.issues[0]!.message}`)
}

/** Names of variables, never values. */
export interface EnvironmentNames {
  given: string[]
  /** They look like ours and are not. */
  unknown: string[]
}

export function namesInEnvironment(env: NodeJS.ProcessEnv = process.env): EnvironmentNames {
  const ours = new Set(Object.values(variables).map(([name]) => name))
  const given = Object.keys(env).filter((name) => env[name] !== '')
  return {
    given: given.filter((name) => ours.has(name)).sort(),
    unknown: given.filter((name) => name.startsWith('JOBS_') && !ours.has(name)).sort(),
  }
}

function readEnvironment(env: NodeJS.ProcessEnv, engine: unknown = env.JOBS_ENGINE): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const setting of Object.keys(variables) as (keyof Config)[]) {
    // Trigger.dev's own variables may be there for other code of the app. They are nobody's matter on another engine.
    if (setting.startsWith('trigger') && engine !== 'trigger.dev') continue
    const name = variableOf(setting, env)
    const read = variables[setting][1]
    const text = env[name]
    // An empty variable counts as unset: `DATABASE_URL= npm start` must not mean "connect to nowhere".
    if (text) found[setting] = read ? read(text, name) : text
  }
  return found
}

function variableOf(setting: keyof Config, env: NodeJS.ProcessEnv): string {
  const [name, , otherwise] = variables[setting]
  return otherwise !== undefined && !env[name] ? otherwise : name
}

/** Trigger.dev's CLI writes `default` for development without a branch. */
function readBranch(text: string, name: string): string | null {
  return name === 'TRIGGER_DEV_BRANCH' && text === 'default' ? null : text
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
