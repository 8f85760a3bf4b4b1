/**
 * What is kept of a tenant's runs beside the runs: their logs and their progress. In portions before the tenant goes,
 * for it may be much; the rest with the tenant's row, whose lock lets no more come behind it.
 */
import type pg from 'pg'
import type { Database } from '../db/database.ts'

/** By run, for only the heads are found by tenant. Index: platform_run_log_heads_tenant, then the primary keys. */
const forgetLogsSql = `
  WITH head AS (
    DELETE FROM public.platform_run_log_heads WHERE run_id = ANY(ARRAY(
      SELECT run_id FROM public.platform_run_log_heads WHERE tenant_id = $1 LIMIT $2))
    RETURNING run_id
  ),
  line AS (DELETE FROM public.platform_run_logs WHERE run_id = ANY(ARRAY(SELECT run_id FROM head)))
  SELECT count(*)::int AS forgotten FROM head`

/** Index: platform_run_progress_tenant. */
const forgetProgressSql = 'DELETE FROM public.platform_run_progress WHERE tenant_id = $1'

/** Runs whose logs go at once: half a million lines at most. */
const portion = 500

export async function forgetInPortions(database: Database, tenantId: string): Promise<void> {
  for (let forgotten = portion; forgotten === portion; ) {
    const { rows } = await database.query<{ forgotten: number }>(forgetLogsSql, [tenantId, portion])
    forgotten = rows[0]!.forgotten
  }
  await database.query(forgetProgressSql, [tenantId])
}

/** In the transaction that deletes the tenant's row, behind that deletion. */
export function forgetRest(client: pg.ClientBase, tenantId: string): Promise<unknown> {
  return Promise.all([
    client.query(forgetLogsSql, [tenantId, null]),
    client.query(forgetProgressSql, [tenantId]),
  ])
}
