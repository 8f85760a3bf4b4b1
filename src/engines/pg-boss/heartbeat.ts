/** Heartbeats of the runs in flight, and the return of runs whose worker went silent. */
import type { Database } from '../../db/database.ts'
import { failedRetentionSeconds, readyChannel } from './boss.ts'
import type { Claim } from './claim.ts'

/** A worker that is silent for this long has lost its runs. */
const silenceSeconds = 10

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
  SELECT j.id FROM pgboss.job j
  JOIN unnest($1::text[], $2::uuid[]) AS mine (name, id) ON j.name = mine.name AND j.id = mine.id
  WHERE j.state = 'cancelled'`

export async function cancelledAmong(database: Database, claims: readonly Claim[]): Promise<Set<string>> {
  const { rows } = await database.query<{ id: string }>(cancelledSql, [
    claims.map((claim) => claim.taskId),
    claims.map((claim) => claim.id),
  ])
  return new Set(rows.map(({ id }) => id))
}

/**
 * A lost attempt is spent: a run that kills its workers must not do so for ever. It comes back at once, for it was not
 * the task that asked to wait. Right after a restart of Postgres nobody could have sent a heartbeat, so everybody gets
 * the full time again. Index: job_i7 (name, group_id) where active.
 */
const recoverSql = `
  WITH lost AS (
    SELECT name, id, started_on, retry_count FROM pgboss.job
    WHERE name = ANY($1::text[]) AND state = 'active' AND group_id IS NOT NULL
      AND heartbeat_on < clock_timestamp() - interval '${silenceSeconds} seconds'
      AND pg_postmaster_start_time() < clock_timestamp() - interval '${silenceSeconds} seconds'
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
  ),
  recovered AS (
    UPDATE pgboss.job j SET
      state = (CASE WHEN j.retry_count < j.retry_limit THEN 'retry' ELSE 'failed' END)::pgboss.job_state,
      completed_on = CASE WHEN j.retry_count < j.retry_limit THEN NULL ELSE now() END,
      start_after = now(),
      output = jsonb_build_object('error', jsonb_build_object('name', 'RunLostError', 'code', 'RUN_LOST',
        'message', 'The worker that ran this attempt went silent.', 'stack', NULL)),
      deletion_seconds = CASE WHEN j.retry_count < j.retry_limit THEN j.deletion_seconds ELSE ${failedRetentionSeconds} END
    FROM lost
    WHERE j.name = lost.name AND j.id = lost.id
    RETURNING j.id, j.name, j.group_id, j.retry_count, j.state, j.output, lost.started_on
  ),
  attempts AS (
    INSERT INTO public.platform_attempts (run_id, attempt, task_id, tenant_id, result, error, started_at, worker)
    SELECT id, retry_count + 1, name, group_id, 'lost', output->'error', started_on, 'unknown' FROM recovered
    ON CONFLICT DO NOTHING
  ),
  announced AS (SELECT pg_notify('${readyChannel}', name) FROM recovered GROUP BY name)
  SELECT name AS "taskId", group_id AS "tenantId", state = 'failed' AS failed,
    (SELECT count(*) FROM announced) AS announced FROM recovered`

export interface Lost {
  taskId: string
  tenantId: string
  /** It has no attempt left. */
  failed: boolean
}

/** Gives runs of silent workers back. */
export async function recoverLost(database: Database, taskIds: readonly string[]): Promise<Lost[]> {
  return (await database.query<Lost>(recoverSql, [taskIds])).rows
}
