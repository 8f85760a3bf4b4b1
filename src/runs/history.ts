/**
 * public.platform_runs: every run that has ended. Whatever ends a run moves it here in the same statement that takes it
 * out of the queue, so it is always in one of the two and never in both, and the queue stays small.
 */
import { runColumns } from './run-row.ts'

/**
 * CTEs that keep the runs of a CTE `ended`, which has the columns of a run and `engine`: the runs themselves, what they
 * are found by, and how many there were. A run that is here already has ended before, and what it came to then stands.
 */
export const keepEnded = `
  history AS (
    INSERT INTO public.platform_runs (${runColumns}, engine) SELECT ${runColumns}, engine FROM ended
    ON CONFLICT (id) DO NOTHING
  ),
  tagged AS (
    INSERT INTO public.platform_run_tags (tag, tenant_id, task_id, state, created_at, run_id)
    SELECT unnest(tags), tenant_id, task_id, state, created_at, id FROM ended WHERE tags IS NOT NULL
  ),
  counted AS (
    INSERT INTO public.platform_run_counts (hour, task_id, tenant_id, state, runs)
    SELECT date_trunc('hour', now(), 'UTC'), task_id, tenant_id, state, count(*)
    FROM ended GROUP BY task_id, tenant_id, state
  )`
