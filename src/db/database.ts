/**
 * The database of one platform: a pool, the tenant contexts over it, and what a statement does in each of them.
 *
 * A connection is held for one statement or one `transaction()`, never for a whole callback: a task that waits 30 s on
 * a provider holds nothing.
 */
import pg from 'pg'
import { CrossTenantTransactionError, DatabaseSetupError, MissingTenantContextError } from '../errors.ts'
import { giveBack, type PreparedText, send, sendAsPlatform, sendAsTenant } from './connection.ts'
import { refuseForbidden } from './forbidden.ts'
import { enterScope, liveScope, type Scope, type TenantIdentity } from './scope.ts'
import { type Settings, sendScoped } from './scoped-query.ts'
import { createSqlTag, type SqlResult, type SqlTag, type Statement } from './statement.ts'
import { cancelOnAbort, Transaction } from './transaction.ts'

export interface DatabaseOptions {
  url: string
  poolSize: number
  /** Shown in pg_stat_activity. */
  applicationName?: string
  /** The tenant behind a slug; throws when it is malformed, unknown or suspended. */
  admit(tenantId: string): Promise<TenantIdentity>
  /** A connection broke while nobody was using it; the pool replaces it. */
  onIdleError?(error: Error): void
}

/** A backend keeps about 0.13 MB for every tenant it has touched, so connections are renewed. */
const connectionLifetimeSeconds = 30 * 60

export class Database {
  readonly pool: pg.Pool
  readonly sql: SqlTag
  readonly #admit: DatabaseOptions['admit']

  constructor(options: DatabaseOptions) {
    this.#admit = options.admit
    this.pool = new pg.Pool({
      connectionString: options.url,
      max: options.poolSize,
      application_name: options.applicationName ?? 'cgk',
      maxLifetimeSeconds: connectionLifetimeSeconds,
      connectionTimeoutMillis: 60_000,
      idleTimeoutMillis: 30_000,
      allowExitOnIdle: true,
      keepAlive: true,
      pipeline: true,
    })
    this.pool.on('error', (error) => {
      // While the pool ends, a connection that Postgres closes first is nobody's loss.
      if (!this.pool.ending) options.onIdleError?.(error)
    })
    // A broken connection is reported twice: to the statement that was using it, and here. Once is enough.
    this.pool.on('connect', (client) => client.on('error', () => {}))
    this.sql = createSqlTag((statement) => this.run(statement))
  }

  /** Opens the tenant's context and calls `fn` in it exactly once. */
  async withTenant<T>(
    tenantId: string,
    fn: () => T | PromiseLike<T>,
    options: { signal?: AbortSignal } = {},
  ): Promise<T> {
    const outer = this.#ownScope('withTenant')
    const signal = options.signal ?? outer?.signal ?? null
    if (outer?.tenant && outer.tenant.slug === tenantId) {
      return await enterScope({ ...outer, signal, ended: false }, fn)
    }
    if (outer?.transaction) throw new CrossTenantTransactionError(tenantId)
    const tenant = await this.#admit(tenantId)
    return await enterScope({ database: this, tenant, transaction: null, signal, ended: false }, fn)
  }

  /**
   * One transaction on one connection, of the current tenant, or of the platform outside every tenant. Inside another
   * transaction it is a savepoint.
   */
  async transaction<T>(fn: () => T | PromiseLike<T>): Promise<T> {
    const outer = this.#ownScope('transaction')
    const inside = (transaction: Transaction) => {
      const scope: Scope = {
        database: this,
        tenant: outer?.tenant ?? null,
        transaction,
        signal: outer?.signal ?? null,
        ended: false,
      }
      return enterScope(scope, fn)
    }
    if (outer?.transaction) return await outer.transaction.nest(inside)
    const client = await this.#connect()
    return await Transaction.run(client, outer?.tenant ?? null, outer?.signal ?? null, inside)
  }

  /** The slug of the tenant this code runs in, or null. */
  currentTenant(): string | null {
    return this.#ownScope('currentTenant')?.tenant?.slug ?? null
  }

  /** A statement of the platform itself, outside every context; tables carry their schema. */
  async query<Row = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<SqlResult<Row>> {
    const client = await this.#connect()
    try {
      return await send<Row>(client, { text, values })
    } finally {
      giveBack(client)
    }
  }

  /** The same with planner switches, for a statement whose plan must not depend on statistics. */
  async queryWith<Row>(
    settings: Settings,
    text: string,
    values: readonly unknown[],
  ): Promise<SqlResult<Row>> {
    const client = await this.#connect()
    try {
      return await sendScoped<Row>(client, settings, { text, values })
    } finally {
      giveBack(client)
    }
  }

  /** Several statements in one text, without parameters: migrations. */
  async script(text: string): Promise<void> {
    const client = await this.#connect()
    try {
      await client.query(text)
    } finally {
      giveBack(client)
    }
  }

  /** Before a long quiet: closes the connections that nobody uses. Whoever wants one again gets a new one. */
  async closeIdle(): Promise<void> {
    const closeOne = async () => (await this.pool.connect()).release(true)
    await Promise.allSettled(Array.from({ length: this.pool.idleCount }, closeOne))
  }

  async close(): Promise<void> {
    await this.pool.end()
  }

  /** What awaiting a statement does, in whatever context it is awaited. */
  async run<Row>(statement: Statement<Row>): Promise<SqlResult<Row>> {
    const scope = this.#ownScope('sql')
    const prepared: PreparedText = { text: statement.text, values: statement.values }
    refuseForbidden(prepared.text)
    if (scope?.transaction) return await this.#executeInTransaction<Row>(scope, scope.transaction, prepared)
    if (!scope?.tenant) return await this.#executeOutside<Row>(prepared)
    return await this.#executeInTenant<Row>(scope.tenant, prepared, scope.signal)
  }

  async #executeInTenant<Row>(
    tenant: TenantIdentity,
    statement: PreparedText,
    signal: AbortSignal | null,
  ): Promise<SqlResult<Row>> {
    const client = await this.#connect()
    // The wait for a connection may have been long.
    if (signal?.aborted) {
      giveBack(client)
      throw signal.reason
    }
    const stopWatching = cancelOnAbort(client, signal)
    try {
      return await sendAsTenant<Row>(client, tenant, statement)
    } catch (error) {
      throw signal?.aborted ? signal.reason : error
    } finally {
      giveBack(client, { destroy: stopWatching() })
    }
  }

  async #executeInTransaction<Row>(
    scope: Scope,
    transaction: Transaction,
    statement: PreparedText,
  ): Promise<SqlResult<Row>> {
    try {
      return await transaction.execute<Row>(statement)
    } catch (error) {
      if (scope.signal?.aborted) throw scope.signal.reason
      throw scope.tenant ? error : explainMissingTable(error, statement)
    }
  }

  async #executeOutside<Row>(statement: PreparedText): Promise<SqlResult<Row>> {
    const client = await this.#connect()
    try {
      return await sendAsPlatform<Row>(client, statement)
    } catch (error) {
      throw explainMissingTable(error, statement)
    } finally {
      giveBack(client)
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.pool.connect()
    } catch (error) {
      const message = error instanceof Error ? error.message : ''
      if (!message.includes('timeout exceeded when trying to connect')) throw error
      throw new DatabaseSetupError(
        `No database connection was free within 60 s. The pool has ${this.pool.totalCount} connections: raise JOBS_POOL_SIZE, or make transactions shorter.`,
        { cause: error },
      )
    }
  }

  /** The scope of another database (two platforms in one process) says nothing about this one. */
  #ownScope(what: string): Scope | undefined {
    const scope = liveScope(what)
    return scope?.database === this ? scope : undefined
  }
}

/**
 * Outside every tenant, a table without a schema is looked for in `public`, where no tenant table is. Its name is read
 * where Postgres points, for the message may be in any language.
 */
function explainMissingTable(error: unknown, statement: PreparedText): unknown {
  if (!(error instanceof pg.DatabaseError) || error.code !== '42P01' || !error.position) return error
  // The position counts characters, a string UTF-16 units.
  const from = [...statement.text].slice(Number(error.position) - 1).join('')
  const [, name, dot] = /^("(?:[^"]|"")+"|[^\s"(),;.]+)\s*(\.?)/.exec(from) ?? []
  if (!name || dot) return error
  return new MissingTenantContextError(`The table ${name}`, { cause: error })
}
