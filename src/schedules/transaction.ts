import type { Database } from '../db/database.ts'

/** A transaction that Postgres ends when its process is frozen in the middle: others wait for what it has locked. */
export async function briefTransaction<T>(database: Database, fn: () => Promise<T>): Promise<T> {
  return await database.transaction(async () => {
    await database.sql`SET LOCAL idle_in_transaction_session_timeout = '60s'`
    return await fn()
  })
}
