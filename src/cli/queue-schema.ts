/** The schema of the queue: made and upgraded by the engine when it starts, and by `cgk migrate` where starting may not. */
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'

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
  return { name: 'pgboss', version: await readVersion(database), wanted: testedSchemaVersion }
}

async function readVersion(database: Database): Promise<number | null> {
  try {
    const { rows } = await database.query<{ version: number }>('SELECT version FROM pgboss.version')
    return rows[0]?.version ?? null
  } catch (error) {
    if ((error as { code?: unknown }).code === '42P01') return null
    throw error
  }
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
