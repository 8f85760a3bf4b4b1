/** How much waits in each task's queue, and for how long: the figures of what is due (telemetry/queue-gauges.ts). */
import type { Database } from '../../db/database.ts'
import type { Backlog } from '../../telemetry/queue-gauges.ts'
import { jobTable } from './job.ts'

/** Counted exactly up to here. Beyond it the figure is pg-boss's own, which is a minute or two old. */
const countedUpTo = 1_000

/** As for claims: with old statistics the planner would rather read and sort the whole backlog. */
const inIndexOrder = [
  ...['enable_sort', 'off'],
  ...['enable_bitmapscan', 'off'],
  ...['enable_seqscan', 'off'],
  ...['enable_hashjoin', 'off'],
]

/** Index: pg-boss's job_i14 (name, state, blocked, start_after). */
const dueIn = (state: 'created' | 'retry') => `
  (SELECT start_after FROM ${jobTable}
    WHERE name = task.id AND state = '${state}' AND NOT blocked AND start_after <= now()
    ORDER BY start_after LIMIT ${countedUpTo})`

/** At most a thousand entries of the index for each task and state, whatever the backlog. */
export const backlogSql = `
  SELECT task.id AS "taskId",
    (CASE WHEN due.runs < ${countedUpTo} THEN due.runs ELSE greatest(due.runs, queue.ready_count) END)::int AS depth,
    coalesce(extract(epoch FROM now() - due.since) * 1000, 0)::float8 AS "ageMs"
  FROM unnest($1::text[]) AS task (id)
  LEFT JOIN pgboss.queue ON queue.name = task.id
  CROSS JOIN LATERAL (
    SELECT count(*) AS runs, min(start_after) AS since
    FROM (${dueIn('created')} UNION ALL ${dueIn('retry')}) AS waiting
  ) AS due`

export async function readBacklog(queue: Database, taskIds: readonly string[]): Promise<Backlog[]> {
  return (await queue.queryWith<Backlog>(inIndexOrder, backlogSql, [taskIds])).rows
}
