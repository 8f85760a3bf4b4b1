/** Heartbeats of the runs in flight, and the return of runs whose worker went silent. */
import type { Database } from '../../db/database.ts'
import { keepEnded } from '../../runs/history.ts'
import { keepFailed, toKeptFailure } from '../../runs/keep-failed.ts'
import type { RunError } from '../../task/json.ts'
import { readyChannel } from './boss.ts'
import type { Claim } from './claim.ts'
import { endedJob } from './job.ts'

/** A worker that is silent for this long has lost its runs. */
const silenceSeconds = 10
const portion = 1_000

/** Index: the primary key. */
const beatSql = `
  UPDATE pgboss.job j SET heartbeat_on = clock_timestamp()
  FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[]) AS mine (name, id, retry_count, started_on)
  WHERE j.name = mine.name AND j.id = mine.id
    AND j.state = 'active' AND j.retry_count = mine.retry_count AND j.started_on = mine.started_on
  RETURNING j.id`

/** Says that these runs are still worked on. Answers the ids that are still ours. */
export async function beat(database: Database, claims: readonly Claim[]): Promise<Set<string>> {
  const { rows } = await database.query<{ id: string }>(beatSql, [
    claims.map((claim) => claim.taskId),
    claims.map((claim) => claim.id),
    claims.map((claim) => claim.retryCount),
    claims.map((claim) => claim.startedOn),
  ])
  return new Set(rows.map(({ id }) => id))
}

/** Which of these runs were cancelled; the others were lost. Index: the primary key. */
const cancelledSql = `
  SELECT id FROM public.platform_runs WHERE id = ANY($1::uuid[]) AND state = 'cancelled'`

export async function cancelledAmong(database: Database, claims: readonly Claim[]): Promise<Set<string>> {
  const { rows } = await database.query<{ id: string }>(cancelledSql, [claims.map((claim) => claim.id)])
  return new Set(rows.map(({ id }) => id))
}

/**
 * A lost attempt is spent: a run that kills its workers must not do so for ever. It comes back at once, for it was not
 * the task that asked to wait. Right after a restart of Postgres nobody could have sent a heartbeat, so everybody gets
 * the full time again. Index: job_i7 (name, group_id) where active.
 */
const recoverSql = `
  WITH lost AS (
    SELECT job.name, job.id, job.started_on, job.retry_count < job.retry_limit AS again, task.output
    FROM pgboss.job JOIN unnest($1::text[], $2::jsonb[]) AS task (id, output) ON task.id = job.name
    WHERE job.name = ANY($1::text[]) AND state = 'active' AND group_id IS NOT NULL
      AND heartbeat_on < clock_timestamp() - interval '${silenceSeconds} seconds'
      AND pg_postmaster_start_time() < clock_timestamp() - interval '${silenceSeconds} seconds'
    LIMIT ${portion}
    FOR UPDATE OF job SKIP LOCKED
  ),
  again AS (
    UPDATE pgboss.job j SET state = 'retry', start_after = now(), output = lost.output
    FROM lost
    WHERE j.name = lost.name AND j.id = lost.id AND lost.again
    RETURNING j.id, j.retry_count + 1 AS attempt, j.name AS task_id, j.group_id AS tenant_id, j.output, lost.started_on AS started_at
  ),
  ended AS (
    DELETE FROM pgboss.job j USING lost
    WHERE j.name = lost.name AND j.id = lost.id AND NOT lost.again
    RETURNING lost.output AS answered, ${endedJob('j', {
      state: `'failed'`,
      output: 'NULL::jsonb',
      error: `lost.output->'error'`,
      fingerprint: `lost.output->'failure'->>'fingerprint'`,
      attempt: 'j.retry_count + 1',
      started_at: 'j.started_on',
      worker: 'NULL::text',
      credentials: 'NULL::jsonb',
    })}
  ),
  ${keepEnded},
  failed AS (
    SELECT id, attempt, task_id, tenant_id, 'lost' AS result, output, started_at, 'unknown' AS worker, false AS ended
    FROM again
    UNION ALL
    SELECT id, attempt, task_id, tenant_id, 'lost', answered, started_at, 'unknown', true FROM ended
  ),
  ${keepFailed},
  announced AS (SELECT pg_notify('${readyChannel}', task_id) FROM again GROUP BY task_id)
  SELECT task_id AS "taskId", tenant_id AS "tenantId", ended AS failed,
    (SELECT count(*) FROM announced) AS announced FROM failed`

const lostError: RunError = {
  name: 'RunLostError',
  code: 'RUN_LOST',
  message: 'The worker that ran this attempt went silent.',
  stack: null,
}

export interface Lost {
  taskId: string
  tenantId: string
  /** It has no attempt left. */
  failed: boolean
}

/** Gives runs of silent workers back. */
export async function recoverLost(database: Database, taskIds: readonly string[]): Promise<Lost[]> {
  const failures = taskIds.map((taskId) => JSON.stringify(toKeptFailure(taskId, lostError)))
  const lost: Lost[] = []
  for (;;) {
    const { rows } = await database.query<Lost>(recoverSql, [taskIds, failures])
    lost.push(...rows)
    if (rows.length < portion) return lost
  }
}

/** Of tasks that no worker here runs as well. */
export async function recoverAllLost(database: Database): Promise<Lost[]> {
  const { rows } = await database.query<{ name: string }>('SELECT name FROM pgboss.queue')
  return await recoverLost(
    database,
    rows.map(({ name }) => name),
  )
}
