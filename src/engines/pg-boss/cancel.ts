/** Cancelling an open run. Its worker, wherever it is, is told at once and finds out by its heartbeat otherwise. */
import type { Database } from '../../db/database.ts'
import { recordSettled } from '../../telemetry/settled.ts'
import { isRunId } from './read.ts'

export const cancelChannel = 'cgk_cancel'

/** Index: the primary key, one probe per task. */
const cancelSql = `
  WITH cancelled AS (
    UPDATE pgboss.job SET state = 'cancelled', completed_on = now(), output = NULL
    WHERE id = $1 AND name IN (SELECT name FROM pgboss.queue) AND state < 'completed' AND group_id IS NOT NULL
    RETURNING id, name, group_id
  )
  SELECT name AS "taskId", group_id AS "tenantId", pg_notify('${cancelChannel}', id::text) FROM cancelled`

export async function cancelRun(database: Database, runId: string): Promise<boolean> {
  if (!isRunId(runId)) return false
  const { rows } = await database.query<{ taskId: string; tenantId: string }>(cancelSql, [runId])
  for (const run of rows) recordSettled({ ...run, outcome: 'cancelled' })
  return rows.length > 0
}
