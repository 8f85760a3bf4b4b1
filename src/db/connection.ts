/**
 * One pooled connection: how a tenant's statement travels over it, and how it comes back clean.
 *
 * Connections pipeline: queries are written one behind the other without waiting for answers, so the start of a
 * transaction travels with its first statement.
 */
import pg from 'pg'
import { UnknownTenantError } from '../errors.ts'
import type { TenantIdentity } from './scope.ts'
import { type Settings, sendScoped } from './scoped-query.ts'
import { quoteIdentifier, type SqlResult } from './statement.ts'

export interface PreparedText {
  readonly text: string
  readonly values: readonly unknown[]
}

/**
 * SET LOCAL ends with the transaction, so nothing outlives it, also behind PgBouncer. `pg_temp` stands last: a
 * temporary table can then never shadow a table of the tenant. Both names were validated when the identity was made;
 * a syntax error here would mean that BEGIN never ran.
 */
export function enterTenant(tenant: TenantIdentity): string {
  return `SET LOCAL ROLE ${quoteIdentifier(tenant.role)}; SET LOCAL search_path TO ${searchPath(tenant)}`
}

/**
 * Outside every tenant: whatever search_path the login or the server has by default, a name without a schema is never
 * looked for in a tenant's schema.
 */
const platformPath = 'public, pg_temp'
export const enterPlatform = `SET LOCAL search_path TO ${platformPath}`

function searchPath(tenant: TenantIdentity): string {
  return `${quoteIdentifier(tenant.schema)}, public, pg_temp`
}

/** Sends one statement on its own: the extended protocol takes exactly one, so text can never smuggle in a second. */
export async function send<Row>(client: pg.ClientBase, statement: PreparedText): Promise<SqlResult<Row>> {
  const config: pg.QueryConfig & { queryMode: 'extended' } = {
    text: statement.text,
    values: [...statement.values],
    queryMode: 'extended',
  }
  const { rows, rowCount } = await client.query(config)
  return { rows, rowCount: rowCount ?? 0 }
}

const knownSettings = new WeakMap<TenantIdentity, Settings>()

/** The same for every statement of a tenant, so they are made once. */
function settingsOf(tenant: TenantIdentity): Settings {
  let settings = knownSettings.get(tenant)
  if (!settings) {
    settings = ['role', tenant.role, 'search_path', searchPath(tenant)]
    knownSettings.set(tenant, settings)
  }
  return settings
}

/** A statement of a tenant as a transaction of its own, in one flight. */
export async function sendAsTenant<Row>(
  client: pg.ClientBase,
  tenant: TenantIdentity,
  statement: PreparedText,
): Promise<SqlResult<Row>> {
  try {
    return await sendScoped<Row>(client, settingsOf(tenant), statement)
  } catch (error) {
    throw explainEntry(error, tenant)
  }
}

/** A statement outside every tenant; the role that the login becomes by default does not count either. */
export async function sendAsPlatform<Row>(
  client: pg.ClientBase,
  statement: PreparedText,
): Promise<SqlResult<Row>> {
  return await sendScoped<Row>(client, ['role', 'none', 'search_path', platformPath], statement)
}

/** A role that is gone means that the tenant was deleted after it was looked up. */
export function explainEntry(error: unknown, tenant: TenantIdentity): unknown {
  const aboutRole = error instanceof pg.DatabaseError && error.message.includes(tenant.role)
  return aboutRole && (error.code === '22023' || error.code === '42704')
    ? new UnknownTenantError(tenant.slug, { cause: error })
    : error
}

/**
 * Gives the connection back, or destroys it when it is not idle. A pooled connection never carries a transaction on.
 */
export function giveBack(client: pg.PoolClient, options: { destroy?: boolean } = {}): void {
  client.release(options.destroy === true || client.getTransactionStatus() !== 'I')
}

/**
 * Asks Postgres to stop what this connection is running, over a connection of its own as the protocol has it; through
 * PgBouncer as well. Best effort: the caller destroys the connection afterwards, so a cancel that comes too late finds
 * nobody else's statement.
 */
export function cancelRunning(client: pg.PoolClient): void {
  const target = client as pg.PoolClient & {
    processID: number
    secretKey: number
    host: string
    port: number
  }
  const messenger = new pg.Connection()
  messenger.on('error', () => {})
  messenger.on('connect', () => {
    const cancel = messenger as unknown as { cancel(processID: number, secretKey: number): void }
    cancel.cancel(target.processID, target.secretKey)
  })
  const { connect } = messenger as unknown as { connect(...address: (number | string)[]): void }
  const address = target.host.startsWith('/')
    ? [`${target.host}/.s.PGSQL.${target.port}`]
    : [target.port, target.host]
  connect.apply(messenger, address)
}
