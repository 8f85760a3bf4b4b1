/**
 * Settling: what attempts came to, for many runs in one statement and one commit.
 *
 * Each settlement is fenced to its claim (id, retry count, start): a worker that lost the run meanwhile changes
 * nothing, and a settlement that is sent again after a lost answer does nothing the second time.
 */
import type { Database } from '../../db/database.ts'
import { isActive } from '../../holds/hold.ts'
import { heldByTenant, type Outcome } from '../../task/outcome.ts'
import { failedRetentionSeconds, readyChannel } from './boss.ts'
import type { Claim } from './claim.ts'
import { heldUntil, jobTable } from './job.ts'

export type SettledKind = Exclude<Outcome['kind'], 'abandoned'> | 'expired'

export interface Settlement {
  claim: Claim
  kind: SettledKind
  /** Until the run is due again, for retry and postponed. */
  delayMs: number
  /** JSON text for the job's output. */
  output: string
  /** What it is held by, for held. */
  heldBy?: string
}

/**
 * Index: the primary key (name, id). `state::text` and the switches leave the planner no other way: with old statistics
 * it would read every running or every kept job instead.
 */
const byPrimaryKey = ['enable_hashjoin', 'off', 'enable_mergejoin', 'off']

/**
 * A run is held only while its tenant is suspended or its service is held. The lock on the row that says so makes that
 * sure: whoever ends it either comes first, and the run is due again, or waits for this commit and then finds the run to
 * release.
 */
const settleSql = `
  WITH answer AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[], $5::text[], $6::float8[], $7::text[])
      AS answer (name, id, retry_count, started_on, kind, delay_ms, output)
  ),
  suspended AS (
    SELECT slug FROM public.organizations WHERE slug = ANY($9::text[]) AND status = 'suspended' FOR SHARE
  ),
  held AS (
    SELECT tenant_id, service FROM public.platform_holds
    WHERE (tenant_id, service) IN (SELECT * FROM unnest($9::text[], $10::text[])) AND ${isActive} FOR SHARE
  ),
  settled AS (
    UPDATE ${jobTable} j SET
      state = (CASE
        WHEN answer.kind IN ('completed', 'retry', 'failed', 'cancelled') THEN answer.kind
        WHEN answer.kind = 'expired' THEN 'cancelled'
        WHEN j.retry_count > 0 THEN 'retry'
        ELSE 'created' END)::pgboss.job_state,
      output = answer.output::jsonb,
      completed_on = CASE WHEN answer.kind IN ('completed', 'failed', 'cancelled', 'expired') THEN now() END,
      start_after = CASE
        WHEN answer.kind IN ('retry', 'postponed') THEN now() + answer.delay_ms * interval '1 millisecond'
        WHEN answer.kind = 'held' AND (CASE answer.output::jsonb->>'held'
          WHEN '${heldByTenant}' THEN j.group_id IN (SELECT slug FROM suspended)
          ELSE (j.group_id, answer.output::jsonb->>'held') IN (SELECT tenant_id, service FROM held) END)
          THEN '${heldUntil}'
        WHEN answer.kind = 'held' THEN now() + interval '1 second'
        ELSE j.start_after END,
      started_on = CASE WHEN answer.kind IN ('postponed', 'held', 'expired') THEN NULL ELSE j.started_on END,
      data = CASE WHEN (answer.kind = 'postponed' OR answer.kind = 'held' AND answer.output::jsonb->'begun' = 'true') AND jsonb_typeof(j.data) = 'object'
        THEN j.data - 'expiresAt' ELSE j.data END,
      deletion_seconds = CASE WHEN answer.kind = 'failed' THEN ${failedRetentionSeconds} ELSE j.deletion_seconds END
    FROM answer
    WHERE j.name = answer.name AND j.id = answer.id
      AND j.state::text = 'active' AND j.retry_count = answer.retry_count AND j.started_on = answer.started_on
    RETURNING j.id, j.name, j.group_id, j.retry_count, answer.started_on, answer.kind, answer.delay_ms, j.output
  ),
  attempts AS (
    INSERT INTO public.platform_attempts (run_id, attempt, task_id, tenant_id, result, error, started_at, worker)
    SELECT id, retry_count + 1, name, group_id, kind, output->'error', started_on, $8
    FROM settled WHERE kind IN ('retry', 'failed')
    ON CONFLICT DO NOTHING
  ),
  announced AS (
    SELECT pg_notify('${readyChannel}', name) FROM settled
    WHERE kind IN ('retry', 'postponed') AND delay_ms <= 0 GROUP BY name
  )
  SELECT id, (SELECT count(*) FROM announced) AS announced FROM settled`

/**
 * The common case in a shape of its own, a tenth of the work to plan and to send: completed without an output.
 * Index: the primary key.
 */
const completeSql = `
  UPDATE ${jobTable} j SET state = 'completed', completed_on = now(), output = NULL
  FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[]) AS answer (name, id, retry_count, started_on)
  WHERE j.name = answer.name AND j.id = answer.id
    AND j.state::text = 'active' AND j.retry_count = answer.retry_count AND j.started_on = answer.started_on
  RETURNING j.id`

/** The ids that were settled; the others were not ours any more. */
export async function settle(
  database: Database,
  settlements: readonly Settlement[],
  worker: string,
): Promise<Set<string>> {
  const claims = settlements.map(({ claim }) => claim)
  const fences = [
    claims.map((claim) => claim.taskId),
    claims.map((claim) => claim.id),
    claims.map((claim) => claim.retryCount),
    claims.map((claim) => claim.startedOn),
  ]
  const held = settlements.filter(({ kind }) => kind === 'held')
  const plain = settlements.every(({ kind, output }) => kind === 'completed' && output === 'null')
  const { rows } = plain
    ? await database.queryWith<{ id: string }>(byPrimaryKey, completeSql, fences)
    : await database.queryWith<{ id: string }>(byPrimaryKey, settleSql, [
        ...fences,
        settlements.map(({ kind }) => kind),
        settlements.map(({ delayMs }) => delayMs),
        settlements.map(({ output }) => output),
        worker,
        held.map(({ claim }) => claim.tenantId),
        held.map(({ heldBy }) => heldBy),
      ])
  return new Set(rows.map(({ id }) => id))
}

export function toSettlement(claim: Claim, outcome: Exclude<Outcome, { kind: 'abandoned' }>): Settlement {
  switch (outcome.kind) {
    case 'completed':
      return { claim, kind: 'completed', delayMs: 0, output: JSON.stringify(outcome.output) }
    case 'retry':
      return {
        claim,
        kind: 'retry',
        delayMs: outcome.delayMs,
        output: JSON.stringify({ error: outcome.error }),
      }
    case 'failed':
      return { claim, kind: 'failed', delayMs: 0, output: JSON.stringify({ error: outcome.error }) }
    case 'cancelled':
      return { claim, kind: 'cancelled', delayMs: 0, output: 'null' }
    case 'postponed':
      return {
        claim,
        kind: 'postponed',
        delayMs: outcome.delayMs,
        output: JSON.stringify({ error: outcome.reason }),
      }
    case 'held':
      return {
        claim,
        kind: 'held',
        delayMs: 0,
        output: JSON.stringify({ held: outcome.by, begun: outcome.begun, error: outcome.reason }),
        heldBy: outcome.by,
      }
  }
}

/** Claimed and never started. */
export function handedBack(claim: Claim): Settlement {
  return { claim, kind: 'postponed', delayMs: 0, output: 'null' }
}

export function expired(claim: Claim): Settlement {
  return { claim, kind: 'expired', delayMs: 0, output: JSON.stringify({ expired: true }) }
}
