/** Which version of pg-boss's schema is in the database. */
import type { Database } from '../../db/database.ts'

/** Null: it is not there yet. */
export async function readSchemaVersion(database: Database): Promise<number | null> {
  try {
    const { rows } = await database.query<{ version: number }>('SELECT version FROM pgboss.version')
    return rows[0]?.version ?? null
  } catch (error) {
    if ((error as { code?: unknown }).code === '42P01') return null
    throw error
  }
}
