/**
 * One open transaction on one connection. Nested transactions are savepoints.
 *
 * While a nested transaction is open, statements of the outer one wait: sent in between they would silently belong to
 * the savepoint and vanish with it.
 */
import type pg from 'pg'
import { ContextEndedError, TransactionRolledBackError } from '../errors.ts'
import {
  cancelRunning,
  enterPlatform,
  enterTenant,
  explainEntry,
  giveBack,
  type PreparedText,
  send,
} from './connection.ts'
import type { TenantIdentity } from './scope.ts'
import type { SqlResult } from './statement.ts'

export class Transaction {
  readonly #client: pg.PoolClient
  readonly #tenant: TenantIdentity | null
  readonly #parent: Transaction | null
  readonly #afterCommit: (() => void)[] = []
  #nested: Promise<unknown> | null = null
  #firstError: unknown = null
  #ended = false

  private constructor(client: pg.PoolClient, tenant: TenantIdentity | null, parent: Transaction | null) {
    this.#client = client
    this.#tenant = tenant
    this.#parent = parent
  }

  /** Runs `fn` in a transaction on `client`, commits what it did or nothing, and gives the connection back. */
  static async run<T>(
    client: pg.PoolClient,
    tenant: TenantIdentity | null,
    signal: AbortSignal | null,
    fn: (transaction: Transaction) => Promise<T>,
  ): Promise<T> {
    const transaction = new Transaction(client, tenant, null)
    const stopWatching = cancelOnAbort(client, signal)
    let committed = false
    // Not awaited: it travels in the same flight as the first statement of `fn`.
    const entered = client.query(`BEGIN; ${tenant ? enterTenant(tenant) : enterPlatform}`)
    entered.catch((error) => transaction.#noteError(error))
    try {
      // The wait for the connection may have been long.
      signal?.throwIfAborted()
      const result = await fn(transaction)
      await transaction.#end()
      signal?.throwIfAborted()
      await entered
      const { command } = await client.query('COMMIT')
      // Postgres answers COMMIT with ROLLBACK when a statement had failed, even if the caller swallowed its error.
      if (command !== 'COMMIT') throw new TransactionRolledBackError({ cause: transaction.#firstError })
      committed = true
      return result
    } catch (error) {
      transaction.#ended = true
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
    this.#refuseIfEnded()
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
    this.#refuseIfEnded()
    const [, answered] = await Promise.allSettled([
      this.#client.query(`SET LOCAL ROLE NONE; ${enterPlatform}`),
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
    this.#refuseIfEnded()
    const work = this.#runNested(new Transaction(this.#client, this.#tenant, this), fn)
    this.#nested = work
      .catch(() => {})
      .finally(() => {
        this.#nested = null
      })
    return await work
  }

  /** Only the innermost savepoint is ever named, so all may have one name. */
  async #runNested<T>(nested: Transaction, fn: (nested: Transaction) => Promise<T>): Promise<T> {
    await this.#client.query('SAVEPOINT nested')
    try {
      const result = await fn(nested)
      await nested.#end()
      this.#refuseIfEnded()
      await this.#client.query('RELEASE SAVEPOINT nested').catch((error) => {
        throw nested.#firstError ? new TransactionRolledBackError({ cause: nested.#firstError }) : error
      })
      this.#afterCommit.push(...nested.#afterCommit)
      return result
    } catch (error) {
      nested.#ended = true
      // Where the outer transaction has ended, everything is rolled back and the connection is somebody else's.
      if (!this.#hasEnded()) {
        await this.#client
          .query('ROLLBACK TO SAVEPOINT nested; RELEASE SAVEPOINT nested')
          .catch((reason) => this.#noteError(reason))
      }
      throw error
    }
  }

  /** What was begun is part of it, awaited by `fn` or not; nothing comes after. */
  async #end(): Promise<void> {
    while (this.#nested) await this.#nested
    this.#ended = true
  }

  #hasEnded(): boolean {
    for (let each: Transaction | null = this; each; each = each.#parent) if (each.#ended) return true
    return false
  }

  /** Called right before anything is sent: after the end, the connection serves another tenant. */
  #refuseIfEnded(): void {
    if (this.#hasEnded()) throw new ContextEndedError('A statement')
  }

  #noteError(error: unknown): void {
    this.#firstError ??= error
  }
}

/** A cancel that comes before the statement has begun is forgotten by Postgres, so it is repeated until that has ended. */
const cancelAgainMs = 500

/** Cancels the running statement when `signal` aborts. The returned function ends the watch and tells if it did. */
export function cancelOnAbort(client: pg.PoolClient, signal: AbortSignal | null): () => boolean {
  if (!signal) return () => false
  let repeating: NodeJS.Timeout | undefined
  const onAbort = () => {
    cancelRunning(client)
    repeating = setInterval(() => cancelRunning(client), cancelAgainMs)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  return () => {
    signal.removeEventListener('abort', onAbort)
    clearInterval(repeating)
    return repeating !== undefined
  }
}
