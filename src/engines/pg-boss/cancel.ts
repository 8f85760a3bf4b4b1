/** Cancelling an open run. Its worker, wherever it is, is told at once and finds out by its heartbeat otherwise. */
import type { Database } from '../../db/database.ts'
import { isRunId } from '../../runs/filter.ts'
import { keepEnded } from '../../runs/history.ts'
import { recordSettled } from '../../telemetry/settled.ts'
import { attemptOf, endedJob } from './job.ts'

export const cancelChannel = 'cgk_cancel'

/** Index: the primary key, one probe per task. */
const cancelSql = `
  WITH ended AS (
    DELETE FROM pgboss.job j
    WHERE id = $1 AND name IN (SELECT name FROM pgboss.queue) AND state < 'completed' AND group_id IS NOT NULL
    RETURNING ${endedJob('j', {
      state: `'cancelled'`,
      output: 'NULL::jsonb',
      error: 'NULL::jsonb',
      fingerprint: 'NULL::text',
      attempt: attemptOf('j'),
      started_at: 'j.started_on',
      worker: 'NULL::text',
      credentials: 'NULL::jsonb',
    })}
  ),
  ${keepEnded}
  SELECT task_id AS "taskId", tenant_id AS "tenantId", pg_notify('${cancelChannel}', id::text) FROM ended`

export async function cancelRun(database: Database, runId: string): Promise<boolean> {
  if (!isRunId(runId)) return false
  const { rows } = await database.query<{ taskId: string; tenantId: string }>(cancelSql, [runId])
  for (const run of rows) recordSettled({ ...run, outcome: 'cancelled' })
  return rows.length > 0
}
