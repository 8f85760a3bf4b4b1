/**
 * Which run answers an idempotency key: the one that has it while it is open or completed, until the key's time is
 * over; after a failure, a cancel or an expiry a new one.
 */
import { createHash } from 'node:crypto'
import type { RunRequest } from '../../task/run.ts'
import type { Execute } from './enqueue.ts'
import { nowMs } from './job.ts'

export interface KeyClaim {
  runId: string
  /** The key was free, so this request's run is the one to be queued. */
  fresh: boolean
}

/**
 * One upsert for all keys; the primary key serialises concurrent claims of one key. A run that this statement cannot
 * see was queued by a transaction that committed after it began: it is open, so its key is taken.
 * Index: the primary keys of the three tables.
 */
const claimSql = `
  INSERT INTO public.platform_idempotency_keys AS held (tenant_id, task_id, key_hash, run_id, expires_at)
  SELECT asked.tenant_id, asked.task_id, asked.key_hash, asked.run_id, now() + asked.ttl * interval '1 millisecond'
  FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::float8[])
    AS asked (tenant_id, task_id, key_hash, run_id, ttl)
  ON CONFLICT (tenant_id, task_id, key_hash) DO UPDATE SET
    (run_id, expires_at) = (
      SELECT CASE WHEN reusable THEN held.run_id ELSE excluded.run_id END,
             CASE WHEN reusable THEN held.expires_at ELSE excluded.expires_at END
      FROM (
        SELECT held.expires_at > now() AND NOT EXISTS (
          SELECT 1 FROM pgboss.job j
          WHERE j.name = held.task_id AND j.id = held.run_id
            AND (j.state IN ('failed', 'cancelled')
              OR (j.state = 'created' AND j.data->'expiresAt' < ${nowMs}))
        ) AND NOT EXISTS (
          SELECT 1 FROM public.platform_runs WHERE id = held.run_id AND state <> 'completed'
        ) AS reusable
      ) AS verdict
    )
  RETURNING held.tenant_id, held.task_id, encode(held.key_hash, 'hex') AS key_hash, held.run_id`

export async function claimKeys(
  requests: readonly RunRequest[],
  execute: Execute,
): Promise<Map<RunRequest, KeyClaim>> {
  // Sorted, so that two processes that claim the same keys lock them in the same order; one row per key.
  const byKey = Map.groupBy(requests, keyOf)
  const firsts = [...byKey.keys()].sort().map((key) => byKey.get(key)![0]!)
  const { rows } = await execute(claimSql, [
    firsts.map((request) => request.tenantId),
    firsts.map((request) => request.taskId),
    firsts.map(hashOf),
    firsts.map((request) => request.id),
    firsts.map((request) => request.idempotency!.ttlMs),
  ])
  const claimed = new Map(
    rows.map((row) => [`${row.tenant_id}\n${row.task_id}\n${row.key_hash}`, String(row.run_id)]),
  )
  return new Map(
    requests.map((request) => {
      const runId = claimed.get(keyOf(request))!
      return [request, { runId, fresh: runId === request.id }]
    }),
  )
}

function keyOf(request: RunRequest): string {
  return `${request.tenantId}\n${request.taskId}\n${hashOf(request).toString('hex')}`
}

function hashOf(request: RunRequest): Buffer {
  return createHash('sha256').update(request.idempotency!.key).digest()
}
