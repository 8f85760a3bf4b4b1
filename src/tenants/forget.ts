/**
 * What is kept of a tenant's runs beside the runs: their logs, their progress, and what replays and cancels were about
 * them. In portions before the tenant goes, for it may be much; the rest with the tenant's row, whose lock lets no more
 * come behind it.
 *
 * The audit log stays: it would be none if deleting a tenant made it forget who did what.
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

/**
 * Locked in the order in which a step of the action locks them. A step that is under way is waited for, and its new runs
 * go with the tenant's work; later ones find none of the tenant's. Index: platform_bulk_action_runs_tenant.
 */
const forgetActionRunsSql = `
  WITH gone AS (
    SELECT action_id, number FROM public.platform_bulk_action_runs WHERE tenant_id = $1
    ORDER BY action_id, number LIMIT $2 FOR UPDATE
  )
  DELETE FROM public.platform_bulk_action_runs AS run USING gone
  WHERE run.action_id = gone.action_id AND run.number = gone.number`

/** Those that were about this tenant alone. */
const forgetActionsSql = 'DELETE FROM public.platform_bulk_actions WHERE tenant_ids = ARRAY[$1::text]'

const actionRunsAtOnce = 10_000

/** Runs whose logs go at once: half a million lines at most. */
const portion = 500

export async function forgetInPortions(database: Database, tenantId: string): Promise<void> {
  for (let forgotten = portion; forgotten === portion; ) {
    const { rows } = await database.query<{ forgotten: number }>(forgetLogsSql, [tenantId, portion])
    forgotten = rows[0]!.forgotten
  }
  await database.query(forgetProgressSql, [tenantId])
  for (let forgotten = actionRunsAtOnce; forgotten === actionRunsAtOnce; ) {
    const { rowCount } = await database.query(forgetActionRunsSql, [tenantId, actionRunsAtOnce])
    forgotten = rowCount
  }
  await database.query(forgetActionsSql, [tenantId])
}

/** In the transaction that deletes the tenant's row, behind that deletion. */
export function forgetRest(client: pg.ClientBase, tenantId: string): Promise<unknown> {
  return Promise.all([
    client.query(forgetLogsSql, [tenantId, null]),
    client.query(forgetProgressSql, [tenantId]),
    // An action before its runs, as a step locks them.
    client.query(forgetActionsSql, [tenantId]),
    client.query(forgetActionRunsSql, [tenantId, null]),
  ])
}
