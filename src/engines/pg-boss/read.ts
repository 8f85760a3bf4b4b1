/** Reading runs. pg-boss's tables are the truth about them; what it forgets is in platform_attempts. */
import type { Database } from '../../db/database.ts'
import { InvalidRunFilterError } from '../../errors.ts'
import type { Attempt, Run, RunState } from '../../task/run.ts'
import type { RunFilter, RunPage } from '../engine.ts'
import { heldUntil, type JobRow, runColumns, toRun } from './job.ts'

/** A job's key is (name, id) and a caller knows the id alone: one probe per task. Index: the primary key. */
const byIdSql = `
  SELECT ${runColumns} FROM pgboss.job
  WHERE id = ANY($1::uuid[]) AND name IN (SELECT name FROM pgboss.queue) AND group_id IS NOT NULL`

export async function readRuns(database: Database, runIds: readonly string[]): Promise<Run[]> {
  const wellFormed = runIds.filter(isRunId)
  if (wellFormed.length === 0) return []
  const { rows } = await database.query<JobRow>(byIdSql, [wellFormed])
  return rows.map(toRun)
}

/** Index: the primary key. */
const attemptsSql = `
  SELECT attempt, result, error, started_at AS "startedAt", finished_at AS "finishedAt", worker
  FROM public.platform_attempts WHERE run_id = $1 ORDER BY attempt`

export async function readAttempts(database: Database, runId: string): Promise<Attempt[]> {
  if (!isRunId(runId)) return []
  return (await database.query<Attempt>(attemptsSql, [runId])).rows
}

/** The same words as readState in job.ts, as conditions. */
const stateConditions: Record<RunState, string> = {
  scheduled: `state = 'created' AND start_after > now() AND start_after <> '${heldUntil}' AND NOT lapsed`,
  held: `state < 'active' AND start_after = '${heldUntil}'`,
  queued: `state = 'created' AND start_after <= now() AND NOT lapsed`,
  running: `state = 'active'`,
  retrying: `state = 'retry' AND start_after <> '${heldUntil}'`,
  completed: `state = 'completed'`,
  failed: `state = 'failed'`,
  cancelled: `state = 'cancelled' AND coalesce(output->>'expired', '') <> 'true'`,
  expired: `(state = 'cancelled' AND output->>'expired' = 'true' OR lapsed)`,
}

/**
 * Newest first, keyset by (created_on, id). Each task's page is read from its own index in order and the pages are
 * merged, so the cost is the page and not the table. Index: pg-boss's job_i15 (name, created_on).
 */
export async function listRuns(database: Database, filter: RunFilter): Promise<RunPage> {
  const values: unknown[] = []
  const bind = (value: unknown) => `$${values.push(value)}`
  const conditions = ['name = queue.name', 'group_id IS NOT NULL']
  if (filter.tenantId !== undefined) conditions.push(`group_id = ${bind(filter.tenantId)}`)
  if (filter.tag !== undefined) conditions.push(`data->'tags' ? ${bind(filter.tag)}`)
  if (filter.states)
    conditions.push(`(${filter.states.map((state) => `(${stateConditions[state]})`).join(' OR ')})`)
  if (filter.after !== undefined) {
    const [createdOn, id] = readCursor(filter.after)
    const at = bind(createdOn)
    conditions.push(
      `created_on <= ${at}::timestamptz AND (created_on, id) < (${at}::timestamptz, ${bind(id)}::uuid)`,
    )
  }
  const queues = filter.taskId === undefined ? 'true' : `queue.name = ${bind(filter.taskId)}`
  const limit = bind(filter.limit + 1)
  const { rows } = await database.query<JobRow & { cursor: string }>(
    `SELECT page.* FROM pgboss.queue AS queue CROSS JOIN LATERAL (
       SELECT * FROM (
         SELECT ${runColumns}, created_on::text || '_' || id AS cursor FROM pgboss.job
         WHERE name = queue.name AND group_id IS NOT NULL
       ) AS job
       WHERE ${conditions.filter((condition) => !condition.startsWith('group_id IS')).join(' AND ')}
       ORDER BY created_on DESC, id DESC LIMIT ${limit}
     ) AS page
     WHERE ${queues}
     ORDER BY page.created_on DESC, page.id DESC LIMIT ${limit}`,
    values,
  )
  const page = rows.slice(0, filter.limit)
  return { runs: page.map(toRun), next: rows.length > filter.limit ? (page.at(-1)?.cursor ?? null) : null }
}

/** Index: cgk_job_tenant (boss.ts) for what waits, pg-boss's job_i7 for what runs. */
const openRunSql = `
  SELECT tenant_id AS "tenantId" FROM unnest($3::text[]) AS tenant_id
  WHERE EXISTS (
    SELECT FROM pgboss.job WHERE name = $1 AND group_id = tenant_id AND group_id IS NOT NULL
      AND state < 'active' AND NOT blocked AND data->'tags' ? $2
  ) OR EXISTS (
    SELECT FROM pgboss.job WHERE name = $1 AND group_id = tenant_id AND state = 'active' AND data->'tags' ? $2
  )`

export async function tenantsWithOpenRun(
  database: Database,
  taskId: string,
  tag: string,
  tenantIds: readonly string[],
): Promise<string[]> {
  const { rows } = await database.query<{ tenantId: string }>(openRunSql, [taskId, tag, tenantIds])
  return rows.map(({ tenantId }) => tenantId)
}

function readCursor(after: string): [createdOn: string, id: string] {
  const [createdOn = '', id = ''] = after.split('_')
  if (!isRunId(id) || !/^\d{4}-\d{2}-\d{2} [\d:.]+[+-][\d:]+$/.test(createdOn)) {
    throw new InvalidRunFilterError('`after` is not the `next` of a page of runs.')
  }
  return [createdOn, id]
}

export function isRunId(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)
}
