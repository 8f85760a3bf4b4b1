/** A deleted tenant leaves nothing behind: no payload, no error, no count, and no group that only it was in. */
import type { Database } from '../db/database.ts'

const tables = [
  'platform_runs',
  'platform_run_tags',
  'platform_run_counts',
  'platform_attempts',
  'platform_failure_counts',
  'platform_failure_marks',
  'platform_holds',
  'platform_webhook_events',
  'platform_trigger_runs',
]

const forgetSql = `
  WITH ${tables.map((table) => `${table} AS (DELETE FROM public.${table} WHERE tenant_id = $1)`).join(', ')}
  SELECT`

/** Index: the primary key; platform_failure_counts_group. */
const forgetGroupsSql = `
  DELETE FROM public.platform_failure_groups AS grouped WHERE NOT EXISTS (
    SELECT FROM public.platform_failure_counts WHERE fingerprint = grouped.fingerprint)`

/** To be called when no run of the tenant is in the queue any more. */
export async function forgetTenant(database: Database, tenantId: string): Promise<void> {
  await database.query(forgetSql, [tenantId])
  await database.query(forgetGroupsSql)
}
