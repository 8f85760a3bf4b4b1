/** Another start for a run that waits for its first. */
import type { Database } from '../../db/database.ts'
import { isRunId } from '../../runs/filter.ts'
import type { Start } from '../engine.ts'
import { readyChannel } from './boss.ts'
import { heldUntil } from './job.ts'

/** Index: the primary key, one probe per task. One that was put off has an output that says why. */
const rescheduleSql = `
  WITH start AS (
    SELECT coalesce($2::timestamptz, now() + $3::float8 * interval '1 millisecond') AS at
  ),
  moved AS (
    UPDATE pgboss.job SET
      start_after = start.at,
      data = CASE WHEN jsonb_typeof(data->'expiresAt') = 'number'
        THEN data || jsonb_build_object('expiresAt',
          (data->>'expiresAt')::numeric + 1000 * extract(epoch FROM start.at - start_after))
        ELSE data END
    FROM start
    WHERE id = $1 AND name IN (SELECT name FROM pgboss.queue) AND group_id IS NOT NULL
      AND state = 'created' AND output IS NULL AND start_after > now() AND start_after <> '${heldUntil}'
    RETURNING name, start.at <= now() AS due
  )
  SELECT CASE WHEN due THEN pg_notify('${readyChannel}', name) END FROM moved`

export async function rescheduleRun(
  database: Database,
  runId: string,
  { runAt, delayMs }: Start,
): Promise<boolean> {
  if (!isRunId(runId)) return false
  const { rowCount } = await database.query(rescheduleSql, [runId, runAt, delayMs])
  return rowCount > 0
}
