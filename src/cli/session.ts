/**
 * What a command works on, for as long as it works: opened at its start, let go of at its end, also when it fails or is
 * interrupted. Loaded here and not above, so that `--help` and a mistyped command answer at once.
 */
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import { workersElsewhere } from '../engines/engine.ts'
import { ConfigError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import { stopAsked, untilAborted, usesEmbedded } from './interrupt.ts'

/** A command works through the public API, like any app. */
export type Jobs = typeof import('../index.ts')

/** The command is left behind when somebody asks us to stop. */
export async function withPlatform(work: (jobs: Jobs, platform: Platform) => Promise<void>): Promise<void> {
  await stayOnPlatform(async (jobs, platform, stop) => {
    await Promise.race([work(jobs, platform), rejectWhenAborted(stop)])
  })
}

/**
 * For a command that hands runs to another process, or takes them from one: with the inline engine there is none, and
 * the command would answer for a queue that ends with it.
 */
export async function withQueue(work: (jobs: Jobs, platform: Platform) => Promise<void>): Promise<void> {
  await withPlatform(async (jobs, platform) => {
    refuseInline(platform)
    await work(jobs, platform)
  })
}

export function refuseInline({ config }: Platform): void {
  if (config.engine !== 'inline') return
  throw new ConfigError(
    'JOBS_ENGINE=inline keeps runs in the memory of one process, so no other command sees them. Set JOBS_ENGINE=pg-boss, or leave it out.',
  )
}

/** Before anything connects, what the engine would say once it is there. */
export function refuseTriggerDev({ config }: Platform): void {
  if (config.engine === 'trigger.dev') throw new ConfigError(workersElsewhere)
}

/** The command itself ends when `stop` aborts. */
export async function stayOnPlatform(
  work: (jobs: Jobs, platform: Platform, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = stopAsked()
  const [jobs, config, { createCliLogger }] = await Promise.all([
    import('../index.ts'),
    readConfig(),
    import('./logger.ts'),
  ])
  const platform = jobs.configure({ ...config, logger: createCliLogger(config.logLevel) })
  try {
    await work(jobs, platform, stop)
  } finally {
    await jobs.close()
  }
}

/** The database as it is: nothing is migrated, no engine is started. */
export async function withDatabase(
  work: (database: Database, config: Config) => Promise<void>,
  { poolSize = 2 }: { poolSize?: number } = {},
): Promise<void> {
  const stop = stopAsked()
  const [{ Database }, { startEmbeddedPostgres }, config] = await Promise.all([
    import('../db/database.ts'),
    import('../db/embedded/index.ts'),
    readConfig(),
  ])
  const embedded = config.databaseUrl ? null : await startEmbeddedPostgres({ dataDir: config.dataDir })
  const url = config.databaseUrl ?? embedded!.url
  const database = new Database({ url, poolSize, admit: noTenants })
  try {
    await Promise.race([work(database, config), rejectWhenAborted(stop)])
  } finally {
    await database.close()
    await embedded?.stop()
  }
}

async function readConfig(): Promise<Config> {
  const config = (await import('../config.ts')).readConfig()
  if (config.databaseUrl === null) usesEmbedded(config.dataDir)
  return config
}

async function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  await untilAborted(signal)
  throw signal.reason
}

async function noTenants(): Promise<never> {
  throw new TypeError('This command works on the database itself, not in a tenant.')
}
