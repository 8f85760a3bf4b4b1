/**
 * A transaction of the platform itself, with its connection in hand: for migrations and the life of a tenant, which
 * send whole scripts. Tasks and apps use `transaction(fn)`.
 */
import type pg from 'pg'
import type { Database } from './database.ts'
import { Transaction } from './transaction.ts'

export async function platformTransaction<T>(
  database: Database,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await database.pool.connect()
  return await Transaction.run(client, null, null, () => fn(client))
}

/**
 * Answers of queries that were started together and so travel in one flight. Throws what the first of them failed with:
 * everything behind a failure only says that the transaction is aborted (25P02), and `Promise.all` may well throw that,
 * since all answers can arrive in one packet.
 */
export async function oneFlight<const Queries extends readonly Promise<unknown>[]>(
  queries: Queries,
): Promise<{ -readonly [Index in keyof Queries]: Awaited<Queries[Index]> }> {
  const settled = await Promise.allSettled(queries)
  const failed = settled.find((answer) => answer.status === 'rejected')
  if (failed) throw failed.reason
  return (await Promise.all(queries)) as never
}
