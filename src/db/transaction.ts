/**
 * One open transaction on one connection. Nested transactions are savepoints.
 *
 * While a nested transaction is open, statements of the outer one wait: sent in between they would silently belong to
 * the savepoint and vanish with it.
 */
import type pg from 'pg'
import { TransactionRolledBackError } from '../errors.ts'
import { cancelRunning, enterTenant, explainEntry, giveBack, type PreparedText, send } from './connection.ts'
import type { TenantIdentity } from './scope.ts'
import type { SqlResult } from './statement.ts'

export class Transaction {
  readonly #client: pg.PoolClient
  readonly #tenant: TenantIdentity | null
  readonly #depth: number
  readonly #afterCommit: (() => void)[] = []
  #nested: Promise<unknown> | null = null
  #firstError: unknown = null

  private constructor(client: pg.PoolClient, tenant: TenantIdentity | null, depth: number) {
    this.#client = client
    this.#tenant = tenant
    this.#depth = depth
  }

  /** Runs `fn` in a transaction on `client`, commits what it did or nothing, and gives the connection back. */
  static async run<T>(
    client: pg.PoolClient,
    tenant: TenantIdentity | null,
    signal: AbortSignal | null,
    fn: (transaction: Transaction) => Promise<T>,
  ): Promise<T> {
    const transaction = new Transaction(client, tenant, 0)
    const stopWatching = cancelOnAbort(client, signal)
    let committed = false
    // Not awaited: it travels in the same flight as the first statement of `fn`.
    const entered = client.query(tenant ? `BEGIN; ${enterTenant(tenant)}` : 'BEGIN')
    entered.catch((error) => transaction.#noteError(error))
    try {
      const result = await fn(transaction)
      signal?.throwIfAborted()
      await entered
      const { command } = await client.query('COMMIT')
      // Postgres answers COMMIT with ROLLBACK when a statement had failed, even if the caller swallowed its error.
      if (command !== 'COMMIT') throw new TransactionRolledBackError({ cause: transaction.#firstError })
      committed = true
      return result
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      const refused = await entered.then(
        () => null,
        (reason: unknown) => ({ reason }),
      )
      if (refused && tenant) throw explainEntry(refused.reason, tenant)
      throw error
    } finally {
      const cancelled = stopWatching()
      giveBack(client, { destroy: cancelled })
      // After the connection is back: what a hook starts may need it.
      if (committed) for (const hook of transaction.#afterCommit) hook()
    }
  }

  /** Calls `hook` once COMMIT has succeeded. It goes with its savepoint when that is rolled back. It must not throw. */
  afterCommit(hook: () => void): void {
    this.#afterCommit.push(hook)
  }

  async execute<Row>(statement: PreparedText): Promise<SqlResult<Row>> {
    while (this.#nested) await this.#nested
    try {
      return await send<Row>(this.#client, statement)
    } catch (error) {
      this.#noteError(error)
      throw error
    }
  }

  /**
   * One statement as the platform's own role, inside this transaction: a tenant's role sees nothing of the queue, and
   * enqueueing must still commit with the tenant's rows or not at all. The role is back before anything else can run.
   */
  async executeAsPlatform<Row>(text: string, values: readonly unknown[] = []): Promise<SqlResult<Row>> {
    while (this.#nested) await this.#nested
    const [, answered] = await Promise.allSettled([
      this.#client.query('SET LOCAL ROLE NONE; SET LOCAL search_path TO public, pg_temp'),
      this.#client.query({ text, values: [...values] }),
      this.#client.query(this.#tenant ? enterTenant(this.#tenant) : 'SELECT 1'),
    ])
    if (answered.status === 'rejected') {
      this.#noteError(answered.reason)
      throw answered.reason
    }
    return { rows: answered.value.rows, rowCount: answered.value.rowCount ?? 0 }
  }

  /** A savepoint: `fn`'s work is kept, or undone alone. */
  async nest<T>(fn: (nested: Transaction) => Promise<T>): Promise<T> {
    while (this.#nested) await this.#nested
    const name = `nested_${this.#depth + 1}`
    const nested = new Transaction(this.#client, this.#tenant, this.#depth + 1)
    const work = (async () => {
      await this.#client.query(`SAVEPOINT ${name}`)
      try {
        const result = await fn(nested)
        await this.#client.query(`RELEASE SAVEPOINT ${name}`)
        this.#afterCommit.push(...nested.#afterCommit)
        return result
      } catch (error) {
        await this.#client.query(`ROLLBACK TO SAVEPOINT ${name}; RELEASE SAVEPOINT ${name}`)
        throw error
      }
    })()
    this.#nested = work
      .catch(() => {})
      .finally(() => {
        this.#nested = null
      })
    return await work
  }

  #noteError(error: unknown): void {
    this.#firstError ??= error
  }
}

/** Cancels the running statement when `signal` aborts. The returned function ends the watch and tells if it did. */
export function cancelOnAbort(client: pg.PoolClient, signal: AbortSignal | null): () => boolean {
  if (!signal) return () => false
  let cancelled = false
  const onAbort = () => {
    cancelled = true
    cancelRunning(client)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  return () => {
    signal.removeEventListener('abort', onAbort)
    return cancelled
  }
}
