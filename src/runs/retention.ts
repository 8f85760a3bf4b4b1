/**
 * Deleting what nobody will ask for again, in portions: a long pause of all workers must not end in one huge
 * transaction.
 *
 * Nothing that failed disappears unseen. Of a group that is open, for a tenant or for the platform, the tenant's last
 * failed run stays, with its attempts, however old it is; and what is deleted stays counted in its group.
 */
import type { Database } from '../db/database.ts'
import { lastMark, stateOf } from './failure-marks.ts'
import { selectStripes } from './stripes.ts'

export interface Retention {
  /** Runs that completed, were cancelled or expired are kept this long after they ended. */
  keepCompletedMs: number
  /** Failed ones. */
  keepFailedMs: number
}

const portion = 1_000

/**
 * Whether the group of a failed run or attempt is open for its tenant, or for the platform because of that tenant.
 * Index: platform_failure_counts_tenant.
 */
const isOpen = (failed: string) => `EXISTS (
  SELECT FROM (
    SELECT min(first_at) AS joined_at, max(last_at) AS last_at FROM public.platform_failure_counts
    WHERE tenant_id = ${failed}.tenant_id AND fingerprint = ${failed}.fingerprint HAVING count(*) > 0
  ) AS seen
  CROSS JOIN (VALUES (NULL), (${failed}.tenant_id)) AS looking (tenant_id)
  LEFT JOIN LATERAL (${lastMark({
    fingerprint: `${failed}.fingerprint`,
    tenantId: 'looking.tenant_id',
    since: 'seen.joined_at',
  })}) AS mark ON true
  WHERE ${stateOf('mark', 'seen')} = 'open')`

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
        AND NOT (run.state = 'failed' AND NOT EXISTS (
          SELECT FROM public.platform_runs AS later
          WHERE later.tenant_id = run.tenant_id AND later.fingerprint = run.fingerprint
            AND (later.created_at, later.id) > (run.created_at, run.id)
        ) AND ${isOpen('run')})
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

/**
 * Of runs that are not in history, but for the last one of a group that is open: on Trigger.dev it is all that is kept
 * of it. Index: finished_at.
 */
const oldAttemptsSql = `
  DELETE FROM public.platform_attempts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_attempts AS attempt
    WHERE finished_at < now() - $1::float8 * interval '1 millisecond'
      AND NOT EXISTS (SELECT FROM public.platform_runs WHERE id = attempt.run_id)
      AND NOT (NOT EXISTS (
        SELECT FROM public.platform_failure_counts AS later
        WHERE later.tenant_id = attempt.tenant_id AND later.fingerprint = attempt.fingerprint
          AND later.last_at > attempt.finished_at
      ) AND ${isOpen('attempt')})
    LIMIT 10000))`

/** Index: platform_run_counts_hour. */
const oldCountsSql = `
  DELETE FROM public.platform_run_counts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_run_counts WHERE hour < now() - $1::float8 * interval '1 millisecond' LIMIT 10000))`

/**
 * What was resolved for all and never came back, nor has any tenant marked it otherwise since.
 * Index: platform_failure_counts_group, and that of the marks.
 */
const oldGroupsSql = `
  WITH gone AS (
    DELETE FROM public.platform_failure_groups AS alike USING public.platform_failure_marks AS mark
    WHERE mark.fingerprint = alike.fingerprint AND mark.tenant_id IS NULL
      AND mark.resolved_at < now() - $1::float8 * interval '1 millisecond'
      AND NOT EXISTS (
        SELECT FROM public.platform_failure_counts
        WHERE fingerprint = alike.fingerprint AND last_at > mark.resolved_at)
      AND NOT EXISTS (
        SELECT FROM public.platform_failure_marks AS later
        WHERE later.fingerprint = alike.fingerprint AND later.marked_at > mark.marked_at AND later.resolved_at IS NULL)
    RETURNING alike.fingerprint
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
