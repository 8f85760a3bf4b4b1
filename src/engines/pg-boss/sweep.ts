/**
 * Moving to history what ended without being moved: by pg-boss's own backstop, which fails the jobs that no worker of
 * ours takes back; by a worker of an older release; by hand.
 *
 * What of it failed is kept as every failure is, in its group: so it is looked at first, for a fingerprint is made here.
 */
import type { Database } from '../../db/database.ts'
import { keepEnded } from '../../runs/history.ts'
import { keepFailed, toKeptFailure } from '../../runs/keep-failed.ts'
import { type JsonValue, readStoredError } from '../../task/json.ts'
import { attemptOf, endedJob, errorOf, jobTable, stateOf } from './job.ts'

const portion = 1_000

interface Over {
  id: string
  taskId: string
  hasFailed: boolean
  error: JsonValue
}

/** Index: pg-boss's job_i16 (name, completed_on) where completed_on is not null. */
const lookSql = `
  SELECT job.id, job.name AS "taskId", job.state = 'failed' AS "hasFailed", ${errorOf('job')} AS error
  FROM pgboss.queue AS queue CROSS JOIN LATERAL (
    SELECT * FROM ${jobTable}
    WHERE name = queue.name AND completed_on IS NOT NULL AND state > 'active' AND group_id IS NOT NULL
    LIMIT ${portion}
  ) AS job LIMIT ${portion}`

/** Index: the primary key (name, id). */
const sweepSql = `
  WITH seen AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::jsonb[]) AS seen (name, id, kept)
  ),
  over AS (
    SELECT job.ctid, seen.kept FROM seen JOIN ${jobTable} AS job ON job.name = seen.name AND job.id = seen.id
    WHERE job.completed_on IS NOT NULL AND job.state > 'active' AND (job.state = 'failed') = (seen.kept IS NOT NULL)
    FOR UPDATE OF job SKIP LOCKED
  ),
  ended AS (
    DELETE FROM ${jobTable} j USING over WHERE j.ctid = over.ctid AND j.state > 'active'
    RETURNING over.kept, CASE WHEN j.output ? 'value' THEN 'lost' ELSE 'failed' END AS result, ${endedJob(
      'j',
      {
        state: stateOf('j'),
        output: `CASE WHEN j.state = 'completed' THEN nullif(j.output, 'null') END`,
        error: `CASE WHEN j.state <> 'completed' THEN coalesce(over.kept->'error', ${errorOf('j')}) END`,
        fingerprint: `over.kept->'failure'->>'fingerprint'`,
        attempt: attemptOf('j'),
        started_at: 'j.started_on',
        finished_at: 'j.completed_on',
        worker: 'NULL::text',
        credentials: 'NULL::jsonb',
      },
    )}
  ),
  ${keepEnded},
  failed AS (
    SELECT id, attempt, task_id, tenant_id, result, kept AS output, coalesce(started_at, finished_at) AS started_at,
      'unknown' AS worker
    FROM ended WHERE kept IS NOT NULL
  ),
  ${keepFailed}
  SELECT count(*)::int AS runs FROM ended`

/** Answers how many runs. */
export async function sweepEnded(queue: Database): Promise<number> {
  for (let runs = 0; ; ) {
    const { rows: over } = await queue.query<Over>(lookSql)
    if (over.length === 0) return runs
    const { rows } = await queue.query<{ runs: number }>(sweepSql, [
      over.map(({ taskId }) => taskId),
      over.map(({ id }) => id),
      over.map(toKept),
    ])
    runs += rows[0]!.runs
    // Nothing at all: others have them.
    if (over.length < portion || rows[0]!.runs === 0) return runs
  }
}

/** JSON text; null: it has not failed. */
function toKept({ taskId, hasFailed, error }: Over): string | null {
  return hasFailed ? JSON.stringify(toKeptFailure(taskId, readStoredError(error))) : null
}
