/**
 * A tenant's credentials as they lie in its schema, read and written as the platform: a suspended tenant has credentials
 * too, and an operator may be mending one.
 */
import { createHash } from 'node:crypto'
import type pg from 'pg'
import { schemaName } from '../db/schema.ts'
import { quoteIdentifier } from '../db/statement.ts'
import { UnknownTenantError } from '../errors.ts'

export interface CredentialRow {
  service: string
  key: string
  encrypted: string
  status: 'active' | 'invalid'
  lastVerifiedAt: Date | null
  lastError: string | null
  createdAt: Date
  updatedAt: Date
}

/** The Database of the platform, or a connection with a transaction open. */
export interface Asker {
  query<Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<{ rows: Row[] }>
}

/** The slug was validated before, so the name is plain. */
export function credentialTable(tenantId: string): string {
  return `${quoteIdentifier(schemaName(tenantId))}.tenant_api_credentials`
}

/** Of one service, or of all. Index: the unique (service_name, credential_key). */
export async function readCredentialRows(
  asker: Asker,
  tenantId: string,
  service: string | null = null,
): Promise<CredentialRow[]> {
  const text = `
    SELECT service_name AS service, credential_key AS key, encrypted_value AS encrypted, status,
           last_verified_at AS "lastVerifiedAt", last_error AS "lastError",
           created_at AS "createdAt", updated_at AS "updatedAt"
    FROM ${credentialTable(tenantId)} WHERE $1::text IS NULL OR service_name = $1
    ORDER BY service_name, credential_key`
  return await explainMissingTenant(tenantId, async () => {
    return (await asker.query<CredentialRow & pg.QueryResultRow>(text, [service])).rows
  })
}

/** Tells credentials of a service from those before: whatever replaces, adds or removes one changes it. */
export function versionOf(rows: readonly CredentialRow[]): string {
  const hash = createHash('sha256')
  for (const { key, encrypted } of rows) hash.update(`${key}\n${encrypted}\n`)
  return hash.digest('base64url')
}

/**
 * Whoever changes the credentials of a service and whoever holds its runs because of them take turns, so that a hold
 * never outlives the credential it was placed for.
 */
export async function lockCredentials(
  client: pg.ClientBase,
  tenantId: string,
  service: string,
): Promise<void> {
  await client.query(
    `SELECT pg_advisory_xact_lock(hashtextextended('cgk credentials ' || $1 || ' ' || $2, 0))`,
    [tenantId, service],
  )
}

/** A schema or table that is not there means that the tenant is not, or was deleted a moment ago. */
export async function explainMissingTenant<T>(tenantId: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    throw code === '42P01' || code === '3F000' ? new UnknownTenantError(tenantId, { cause: error }) : error
  }
}
