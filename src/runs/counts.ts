/**
 * How many runs there are, by task, tenant and state. What has ended is counted by the hour as it ends
 * (platform_run_counts), for counting a million rows again and again takes too long; what is open, as it is now.
 */
import type { Database } from '../db/database.ts'
import { InvalidRunFilterError } from '../errors.ts'
import type { RunState } from '../task/run.ts'
import { text, time } from './filter.ts'

export interface CountFilter {
  tenantId?: string
  taskId?: string
  /** Ended in the hour of this time or later; 24 hours ago by default. */
  from?: Date
  /** Ended before the hour of this time; all by default. */
  to?: Date
}

export interface RunCount {
  taskId: string
  tenantId: string
  state: RunState
  runs: number
}

const checks: Record<keyof CountFilter, (value: unknown, name: string) => void> = {
  tenantId: text,
  taskId: text,
  from: time,
  to: time,
}

/** @throws InvalidRunFilterError. */
export function checkCountFilter(filter: CountFilter, now: Date): CountFilter & { from: Date } {
  if (typeof filter !== 'object' || filter === null) {
    throw new InvalidRunFilterError('A filter must be an object like { tenantId, from }.')
  }
  for (const [name, value] of Object.entries(filter)) {
    if (!Object.hasOwn(checks, name)) throw new InvalidRunFilterError(`Runs cannot be counted by ${name}.`)
    if (value !== undefined) checks[name as keyof CountFilter](value, name)
  }
  return { ...filter, from: filter.from ?? new Date(now.getTime() - 86_400_000) }
}

/** Index: platform_run_counts_hour. */
export const countEndedSql = `
  SELECT task_id AS "taskId", tenant_id AS "tenantId", state, sum(runs)::float8 AS runs
  FROM public.platform_run_counts
  WHERE hour >= date_trunc('hour', $1::timestamptz, 'UTC') AND ($2::timestamptz IS NULL OR hour < date_trunc('hour', $2, 'UTC'))
    AND ($3::text IS NULL OR tenant_id = $3) AND ($4::text IS NULL OR task_id = $4)
  GROUP BY task_id, tenant_id, state`

export async function countEnded(
  database: Database,
  { from, to, tenantId, taskId }: CountFilter & { from: Date },
): Promise<RunCount[]> {
  const values = [from, to ?? null, tenantId ?? null, taskId ?? null]
  return (await database.query<RunCount>(countEndedSql, values)).rows
}

/**
 * What settlements of the last hours have added row by row becomes one row each. Two who do it at once add up what each
 * of them has taken out. Index: platform_run_counts_hour.
 */
const addUpSql = `
  WITH scattered AS (
    SELECT hour, task_id, tenant_id, state FROM public.platform_run_counts WHERE hour > now() - interval '3 hours'
    GROUP BY hour, task_id, tenant_id, state HAVING count(*) > 1
  ),
  taken AS (
    DELETE FROM public.platform_run_counts AS one USING scattered
    WHERE one.hour = scattered.hour AND one.task_id = scattered.task_id
      AND one.tenant_id = scattered.tenant_id AND one.state = scattered.state
    RETURNING one.*
  )
  INSERT INTO public.platform_run_counts (hour, task_id, tenant_id, state, runs)
  SELECT hour, task_id, tenant_id, state, sum(runs) FROM taken GROUP BY hour, task_id, tenant_id, state`

export async function addUpCounts(database: Database): Promise<void> {
  await database.query(addUpSql)
}
