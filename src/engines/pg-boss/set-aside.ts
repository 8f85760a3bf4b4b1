/**
 * Setting aside all due runs of a tenant that need a held service. Claims set aside what they meet; this clears the rest
 * out of the way at once, so that a long backlog of one tenant is not claimed piece by piece in front of the others.
 */
import type { Database } from '../../db/database.ts'
import { isActive } from '../../holds/hold.ts'
import type { Held } from './claim.ts'
import { heldOutput, heldUntil, jobTable } from './job.ts'

const portion = 1_000

/** Index: cgk_job_tenant. The lock on the hold is that of claiming. */
const setAsideSql = `
  WITH held AS (
    SELECT service, message FROM public.platform_holds
    WHERE tenant_id = $2 AND service = $3 AND ${isActive} FOR SHARE
  ),
  waiting AS (
    SELECT job.ctid FROM held CROSS JOIN unnest($1::text[]) AS task (id) CROSS JOIN LATERAL (
      SELECT ctid FROM ${jobTable}
      WHERE name = task.id AND group_id = $2 AND group_id IS NOT NULL AND state < 'active' AND NOT blocked
        AND start_after <= now()
      ORDER BY priority DESC, created_on LIMIT ${portion}
      FOR UPDATE SKIP LOCKED
    ) AS job LIMIT ${portion}
  )
  UPDATE ${jobTable} j SET start_after = '${heldUntil}', output = ${heldOutput}
  FROM waiting CROSS JOIN held
  WHERE j.ctid = waiting.ctid AND j.state < 'active'`

/** Answers how many runs. */
export async function setAside(
  queue: Database,
  taskIds: readonly string[],
  { tenantId, service }: Held,
): Promise<number> {
  for (let runs = 0; ; ) {
    const { rowCount } = await queue.query(setAsideSql, [taskIds, tenantId, service])
    runs += rowCount
    if (rowCount < portion) return runs
  }
}
