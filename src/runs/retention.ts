/**
 * Deleting what nobody will ask for again, in portions: a long pause of all workers must not end in one huge
 * transaction.
 *
 * Nothing that failed disappears unseen. Of a group that nobody has resolved or ignored since, the last run stays, with
 * its attempts, however old it is; and what is deleted stays counted in its group.
 */
import type { Database } from '../db/database.ts'
import { selectStripes } from './stripes.ts'

export interface Retention {
  /** Runs that completed, were cancelled or expired are kept this long after they ended. */
  keepCompletedMs: number
  /** Failed ones. */
  keepFailedMs: number
}

const portion = 1_000

/**
 * With what belongs to a run. A key that a failed run had would answer it for ever, now that nobody can see that it
 * failed. Index: platform_runs_stripe, from its oldest end; what was created long before it ended is read in vain.
 */
const oldRunsSql = `
  WITH old AS (
    SELECT run.id FROM (${selectStripes([], false)}) AS stripe
    CROSS JOIN LATERAL (
      SELECT now() - interval '1 millisecond' * CASE stripe.state WHEN 'failed' THEN $2::float8 ELSE $1::float8 END AS time
    ) AS limits
    CROSS JOIN LATERAL (
      SELECT id FROM public.platform_runs AS run
      WHERE run.task_id = stripe.task_id AND run.state = stripe.state AND run.triggered_by = stripe.triggered_by
        AND run.created_at < limits.time AND run.finished_at < limits.time
        AND NOT (run.state = 'failed' AND EXISTS (
          SELECT FROM public.platform_failure_groups AS alike
          WHERE alike.fingerprint = run.fingerprint
            AND coalesce(greatest(alike.resolved_at, alike.ignored_until) < run.finished_at, true)
            AND NOT EXISTS (
              SELECT FROM public.platform_runs AS later WHERE later.fingerprint = run.fingerprint
                AND (later.created_at, later.id) > (run.created_at, run.id))))
      ORDER BY run.created_at, run.id LIMIT ${portion}
    ) AS run
    LIMIT ${portion}
  ),
  gone AS (
    DELETE FROM public.platform_runs AS run USING old WHERE run.id = old.id RETURNING run.*
  ),
  tags AS (
    DELETE FROM public.platform_run_tags AS one USING gone
    WHERE one.tenant_id = gone.tenant_id AND one.tag = ANY(gone.tags) AND one.state = gone.state
      AND one.created_at = gone.created_at AND one.run_id = gone.id
  ),
  attempts AS (DELETE FROM public.platform_attempts USING gone WHERE run_id = gone.id),
  lines AS (DELETE FROM public.platform_run_logs USING gone WHERE run_id = gone.id),
  heads AS (DELETE FROM public.platform_run_log_heads USING gone WHERE run_id = gone.id),
  progress AS (DELETE FROM public.platform_run_progress USING gone WHERE run_id = gone.id),
  keys AS (
    DELETE FROM public.platform_idempotency_keys AS held USING gone
    WHERE gone.state <> 'completed' AND held.tenant_id = gone.tenant_id AND held.task_id = gone.task_id
      AND held.key_hash = sha256(convert_to(gone.idempotency_key, 'UTF8')) AND held.run_id = gone.id
  )
  SELECT count(*)::int AS runs FROM gone`

/** Of runs that are not in history. Index: finished_at. */
const oldAttemptsSql = `
  DELETE FROM public.platform_attempts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_attempts AS attempt
    WHERE finished_at < now() - $1::float8 * interval '1 millisecond'
      AND NOT EXISTS (SELECT FROM public.platform_runs WHERE id = attempt.run_id) LIMIT 10000))`

/** Index: platform_run_counts_hour. */
const oldCountsSql = `
  DELETE FROM public.platform_run_counts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_run_counts WHERE hour < now() - $1::float8 * interval '1 millisecond' LIMIT 10000))`

/** What was resolved and never came back. Index: platform_failure_counts_group. */
const oldGroupsSql = `
  WITH gone AS (
    DELETE FROM public.platform_failure_groups AS alike
    WHERE resolved_at < now() - $1::float8 * interval '1 millisecond' AND NOT EXISTS (
      SELECT FROM public.platform_failure_counts WHERE fingerprint = alike.fingerprint AND last_at > alike.resolved_at)
    RETURNING fingerprint
  )
  DELETE FROM public.platform_failure_counts USING gone
  WHERE platform_failure_counts.fingerprint = gone.fingerprint`

/** Index: expires_at. */
const expiredKeysSql = `
  DELETE FROM public.platform_idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_idempotency_keys WHERE expires_at < now() LIMIT 10000))`

/** No provider sends an event again after so long. Index: received_at. */
const oldEventsSql = `
  DELETE FROM public.platform_webhook_events WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_webhook_events WHERE received_at < now() - interval '30 days' LIMIT 10000))`

const switches = [...['enable_seqscan', 'off'], ...['enable_hashjoin', 'off'], ...['jit', 'off']]

export async function deleteOutdated(
  database: Database,
  { keepCompletedMs, keepFailedMs }: Retention,
): Promise<void> {
  for (let deleted = portion; deleted === portion; ) {
    const values = [keepCompletedMs, keepFailedMs]
    const { rows } = await database.queryWith<{ runs: number }>(switches, oldRunsSql, values)
    deleted = rows[0]!.runs
  }
  for (const text of [oldAttemptsSql, oldCountsSql, oldGroupsSql]) await database.query(text, [keepFailedMs])
  for (const text of [expiredKeysSql, oldEventsSql]) await database.query(text)
}
