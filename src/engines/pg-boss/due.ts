/** Which tasks have something to do now, and when the next one will. */
import type { Database } from '../../db/database.ts'

export interface Due {
  taskId: string
  /** Milliseconds until its next run is due; 0 or less: now. */
  inMs: number
}

/**
 * One row per task that waits for anything; two index probes each, whatever the backlog.
 * Index: job_i14 (name, state, blocked, start_after).
 */
const dueSql = `
  SELECT task.id AS "taskId", (extract(epoch FROM next.start_after - clock_timestamp()) * 1000)::float8 AS "inMs"
  FROM unnest($1::text[]) AS task (id)
  CROSS JOIN LATERAL (
    SELECT least(
      (SELECT start_after FROM pgboss.job
        WHERE name = task.id AND state = 'created' AND NOT blocked ORDER BY start_after LIMIT 1),
      (SELECT start_after FROM pgboss.job
        WHERE name = task.id AND state = 'retry' AND NOT blocked ORDER BY start_after LIMIT 1)
    ) AS start_after
  ) AS next
  WHERE next.start_after IS NOT NULL`

export async function findDue(database: Database, taskIds: readonly string[]): Promise<Due[]> {
  const { rows } = await database.query<Due>(dueSql, [taskIds])
  return rows
}
