/** The schema of the queue: made and upgraded by the engine when it starts, and by `cgk migrate` where starting may not. */
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import { readSchemaVersion } from '../engines/pg-boss/schema-version.ts'

export interface QueueSchema {
  name: 'pgboss'
  /** Null: it is not there yet. */
  version: number | null
  wanted: number
}

/** Null with an engine that keeps no schema of its own. */
export async function readQueueSchema(database: Database, { engine }: Config): Promise<QueueSchema | null> {
  if (engine !== 'pg-boss') return null
  const { testedSchemaVersion } = await import('../engines/pg-boss/boss.ts')
  return { name: 'pgboss', version: await readSchemaVersion(database), wanted: testedSchemaVersion }
}

/** Repeating it changes nothing. @throws DatabaseSetupError when a newer release has been here. */
export async function migrateQueueSchema(database: Database, config: Config): Promise<void> {
  const [{ Boss }, { createCliLogger }] = await Promise.all([
    import('../engines/pg-boss/boss.ts'),
    import('./logger.ts'),
  ])
  const boss = new Boss({ database, migrate: true, logger: createCliLogger(config.logLevel) })
  await boss.start()
  await boss.stop()
}
