/** How failed attempts are kept: each of them, its group, and how often the group came up. */
import type { RunError } from '../task/json.ts'
import { describeFailure, type Failure } from './fingerprint.ts'

/** An error on its way into a statement. */
export interface KeptFailure {
  error: RunError
  failure: Failure
}

export function toKeptFailure(taskId: string, error: RunError): KeptFailure {
  return { error, failure: describeFailure(taskId, error) }
}

/**
 * CTEs that keep the attempts of a CTE `failed`: (id, attempt, task_id, tenant_id, result, output, started_at, worker),
 * with a KeptFailure as `output`.
 *
 * Statements that run side by side do not wait for each other here. Counts are rows that are only added; of a group that
 * is there nothing is written, and new ones are made in the order of their fingerprints, so that two who make the same
 * ones cannot each wait for the other.
 */
export const keepFailed = `
  attempted AS (
    INSERT INTO public.platform_attempts
      (run_id, attempt, task_id, tenant_id, result, error, fingerprint, started_at, worker)
    SELECT id, attempt, task_id, tenant_id, result, output->'error', output->'failure'->>'fingerprint', started_at, worker
    FROM failed
    ON CONFLICT DO NOTHING
  ),
  alike AS (
    SELECT id, task_id, tenant_id, output->'error' AS error, output->'failure' AS failure,
      output->'failure'->>'fingerprint' AS fingerprint
    FROM failed WHERE output ? 'failure'
  ),
  grouped AS (
    INSERT INTO public.platform_failure_groups (fingerprint, task_id, error_name, error_code, message, frame)
    SELECT DISTINCT ON (fingerprint)
      fingerprint, task_id, error->>'name', error->>'code', failure->>'message', failure->>'frame'
    FROM alike ORDER BY fingerprint
    ON CONFLICT (fingerprint) DO NOTHING
  ),
  failure_counted AS (
    INSERT INTO public.platform_failure_counts
      (fingerprint, hour, tenant_id, failures, first_at, last_at, message, run_id)
    SELECT fingerprint, date_trunc('hour', now(), 'UTC'), tenant_id, count(*), now(), now(),
      left(min(error->>'message'), 500), (array_agg(id))[1]
    FROM alike GROUP BY fingerprint, tenant_id
  )`
