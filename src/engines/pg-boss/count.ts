/** Counting runs: what is open in pg-boss's table as it is now, what has ended from the platform's counts. */
import type { Database } from '../../db/database.ts'
import { type CountFilter, countEnded, type RunCount } from '../../runs/counts.ts'
import { jobAsRun } from './job.ts'

/** Reads what is open, and no more than that: nothing else lies in the table. */
const openSql = `
  SELECT task_id AS "taskId", tenant_id AS "tenantId", state, count(*)::float8 AS runs
  FROM (SELECT ${jobAsRun('job')} FROM pgboss.job AS job WHERE job.group_id IS NOT NULL AND job.state < 'completed') AS run
  WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR task_id = $2)
  GROUP BY task_id, tenant_id, state`

export async function countRuns(
  database: Database,
  filter: CountFilter & { from: Date },
): Promise<RunCount[]> {
  const { tenantId = null, taskId = null } = filter
  const [open, ended] = await Promise.all([
    database.query<RunCount>(openSql, [tenantId, taskId]),
    countEnded(database, filter),
  ])
  return merge([...open.rows, ...ended])
}

/** A run whose time to start is over is a job still, and expired like those that upkeep has counted. */
function merge(counts: readonly RunCount[]): RunCount[] {
  const merged = new Map<string, RunCount>()
  for (const count of counts) {
    const key = JSON.stringify([count.taskId, count.tenantId, count.state])
    merged.set(key, { ...count, runs: count.runs + (merged.get(key)?.runs ?? 0) })
  }
  return [...merged.values()]
}
