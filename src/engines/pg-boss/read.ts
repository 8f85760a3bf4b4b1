/** Reading runs: those that are open from pg-boss's tables, those that have ended from the platform's. */
import type { Database } from '../../db/database.ts'
import { type Bind, contentConditions, pageConditions } from '../../runs/conditions.ts'
import { isRunId } from '../../runs/filter.ts'
import { endedPage, pageSettings } from '../../runs/list-ended.ts'
import { type RunRow, runColumns, toRun } from '../../runs/run-row.ts'
import type { Run, RunState } from '../../task/run.ts'
import type { RunFilter, RunPage } from '../engine.ts'
import { jobAsRun } from './job.ts'

/**
 * In one statement, so that a run which ends meanwhile is seen in one of its places. A job's key is (name, id) and a
 * caller knows the id alone: one probe per task. Index: the primary keys.
 */
const byIdSql = `
  SELECT ${runColumns} FROM (
    SELECT ${jobAsRun('job')} FROM pgboss.job AS job
    WHERE job.id = ANY($1::uuid[]) AND job.name IN (SELECT name FROM pgboss.queue) AND job.group_id IS NOT NULL
  ) AS run
  UNION ALL
  SELECT ${runColumns} FROM public.platform_runs WHERE id = ANY($1::uuid[])`

export async function readRuns(database: Database, runIds: readonly string[]): Promise<Run[]> {
  const wellFormed = runIds.filter(isRunId)
  if (wellFormed.length === 0) return []
  const { rows } = await database.query<RunRow>(byIdSql, [wellFormed])
  return rows.map(toRun)
}

/** Newest first, keyset by (created_at, id): two streams in that order, merged as far as the page goes. */
export async function listRuns(database: Database, filter: RunFilter): Promise<RunPage> {
  const { text, values } = pageStatement(filter)
  const { rows } = await database.queryWith<RunRow & { cursor: string }>(pageSettings, text, values)
  const page = rows.slice(0, filter.limit)
  return { runs: page.map(toRun), next: rows.length > filter.limit ? (page.at(-1)?.cursor ?? null) : null }
}

/** One row more than the page has, to know whether another follows. */
export function pageStatement(filter: RunFilter): { text: string; values: unknown[] } {
  const values: unknown[] = []
  const bind = (value: unknown) => `$${values.push(value)}`
  const streams = [openPage(filter, bind), endedPage(filter, bind)].filter((stream) => stream !== null)
  const text = `
    SELECT *, created_at::text || '_' || id AS cursor FROM (${streams.join(' UNION ALL ')}) AS run
    ORDER BY created_at DESC, id DESC LIMIT ${bind(filter.limit + 1)}`
  return { text, values }
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

/**
 * Each task's page is read from its own index in order, and the pages are merged. Index: pg-boss's job_i15 (name,
 * created_on).
 */
function openPage(filter: RunFilter, bind: Bind): string {
  const columns = { createdAt: 'run.created_at', id: 'run.id' }
  const conditions = [
    ...contentConditions(filter, bind),
    ...pageConditions(filter, bind, columns),
    // What upkeep has still to move (sweep.ts). Index: pg-boss's job_i16.
    ...(filter.states?.every(isMoved) ? ['run.finished_at IS NOT NULL'] : []),
  ]
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
  const limit = bind(filter.limit + 1)
  return `
    SELECT page.* FROM pgboss.queue AS queue CROSS JOIN LATERAL (
      SELECT ${runColumns} FROM (
        SELECT ${jobAsRun('job')} FROM pgboss.job AS job WHERE job.name = queue.name AND job.group_id IS NOT NULL
      ) AS run
      ${where}
      ORDER BY run.created_at DESC, run.id DESC LIMIT ${limit}
    ) AS page`
}

/** A run whose time to start is over has expired for everybody, and is a job until a worker comes to it. */
function isMoved(state: RunState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}
