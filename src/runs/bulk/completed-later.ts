/** Of how many runs there is a later one that did what they were to do: replaying those is likely not needed. */
import type { Run } from '../../task/run.ts'
import type { BulkDependencies } from './deps.ts'

/** So many completed runs of the same task and tenant after it are looked at for one with the same payload. */
const lookedAt = 100

export async function countCompletedLater(
  runs: readonly Run[],
  { database: { sql } }: BulkDependencies,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    SELECT count(*)::int AS count
    FROM unnest(
      ${runs.map(({ id }) => id)}::uuid[], ${runs.map(({ taskId }) => taskId)}::text[],
      ${runs.map(({ tenantId }) => tenantId)}::text[], ${runs.map(({ createdAt }) => createdAt)}::timestamptz[],
      ${runs.map(({ payload }) => JSON.stringify(payload))}::jsonb[]
    ) AS old (id, task_id, tenant_id, created_at, payload)
    WHERE EXISTS (
      SELECT FROM public.platform_runs AS replay WHERE replay.replay_of = old.id::text AND replay.state = 'completed'
    ) OR EXISTS (
      SELECT FROM (
        SELECT payload FROM public.platform_runs AS later
        WHERE later.tenant_id = old.tenant_id AND later.task_id = old.task_id AND later.state = 'completed'
          AND later.created_at > old.created_at
        ORDER BY later.created_at LIMIT ${lookedAt}
      ) AS later WHERE later.payload = old.payload
    )`
  return rows[0]!.count
}
