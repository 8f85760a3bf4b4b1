/** A tenant's statement as everybody writes it first: five round trips. What `withTenant` is measured against. */
import type pg from 'pg'
import type { TenantIdentity } from '../../src/db/scope.ts'
import { quoteIdentifier } from '../../src/db/statement.ts'

export async function inFiveTrips(
  pool: pg.Pool,
  tenant: TenantIdentity,
  text: string,
  values: readonly unknown[],
): Promise<void> {
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query(`SET LOCAL ROLE ${quoteIdentifier(tenant.role)}`)
  await client.query(`SET LOCAL search_path TO ${quoteIdentifier(tenant.schema)}, public`)
  await client.query(text, [...values])
  await client.query('COMMIT')
  client.release()
}
