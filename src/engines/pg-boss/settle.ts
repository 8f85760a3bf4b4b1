/**
 * Settling: what attempts came to, for many runs in one statement and one commit.
 *
 * Each settlement is fenced to its claim (id, retry count, start): a worker that lost the run meanwhile changes
 * nothing, and a settlement that is sent again after a lost answer does nothing the second time.
 */
import type { Database } from '../../db/database.ts'
import { isActive } from '../../holds/hold.ts'
import { keepEnded } from '../../runs/history.ts'
import { keepFailed, toKeptFailure } from '../../runs/keep-failed.ts'
import { heldByTenant, type Outcome } from '../../task/outcome.ts'
import type { CredentialVersions } from '../../task/services.ts'
import { readyChannel } from './boss.ts'
import type { Claim } from './claim.ts'
import { endedJob, heldUntil, jobTable } from './job.ts'

export type SettledKind = Exclude<Outcome['kind'], 'abandoned'> | 'expired'

export interface Settlement {
  claim: Claim
  kind: SettledKind
  /** Until the run is due again, for retry and postponed. */
  delayMs: number
  /** JSON text: what `run` returned, or why it is to be tried again, has failed, or waits. */
  output: string
  /** That the attempt worked with; JSON text, or null. */
  credentials: string | null
  /** What it is held by, for held. */
  heldBy?: string
}

/**
 * Index: the primary key (name, id). `state::text` and the switches leave the planner no other way: with old statistics
 * it would read every running job instead.
 */
const byPrimaryKey = ['enable_hashjoin', 'off', 'enable_mergejoin', 'off']

/** The fence: the job is still the one that was claimed. */
const isTheirs = `j.name = answer.name AND j.id = answer.id
  AND j.state::text = 'active' AND j.retry_count = answer.retry_count AND j.started_on = answer.started_on`

/**
 * A run is held only while its tenant is suspended or its service is held. The lock on the row that says so makes that
 * sure: whoever ends it either comes first, and the run is due again, or waits for this commit and then finds the run to
 * release.
 */
const settleSql = `
  WITH answer AS (
    SELECT * FROM unnest(
      $1::text[], $2::uuid[], $3::int[], $4::timestamptz[], $5::jsonb[], $6::jsonb[], $8::text[], $9::float8[]
    ) AS answer (name, id, retry_count, started_on, credentials, output, kind, delay_ms)
  ),
  suspended AS (
    SELECT slug FROM public.organizations WHERE slug = ANY($10::text[]) AND status = 'suspended' FOR SHARE
  ),
  held AS (
    SELECT tenant_id, service FROM public.platform_holds
    WHERE (tenant_id, service) IN (SELECT * FROM unnest($10::text[], $11::text[])) AND ${isActive} FOR SHARE
  ),
  waiting AS (
    UPDATE ${jobTable} j SET
      state = (CASE
        WHEN answer.kind = 'retry' OR j.retry_count > 0 THEN 'retry'
        ELSE 'created' END)::pgboss.job_state,
      output = answer.output,
      start_after = CASE
        WHEN answer.kind IN ('retry', 'postponed') THEN now() + answer.delay_ms * interval '1 millisecond'
        WHEN CASE answer.output->>'held'
          WHEN '${heldByTenant}' THEN j.group_id IN (SELECT slug FROM suspended)
          ELSE (j.group_id, answer.output->>'held') IN (SELECT tenant_id, service FROM held) END
          THEN '${heldUntil}'
        ELSE now() + interval '1 second' END,
      started_on = CASE WHEN answer.kind IN ('postponed', 'held') THEN NULL ELSE j.started_on END,
      data = CASE WHEN (answer.kind = 'postponed' OR answer.kind = 'held' AND answer.output->'begun' = 'true') AND jsonb_typeof(j.data) = 'object'
        THEN j.data - 'expiresAt' ELSE j.data END
    FROM answer
    WHERE answer.kind IN ('retry', 'postponed', 'held') AND ${isTheirs}
    RETURNING j.id, j.name AS task_id, j.group_id AS tenant_id, j.retry_count + 1 AS attempt, j.output,
      answer.started_on, answer.kind, answer.delay_ms
  ),
  ended AS (
    DELETE FROM ${jobTable} j USING answer
    WHERE answer.kind IN ('completed', 'failed', 'cancelled', 'expired') AND ${isTheirs}
    RETURNING answer.output AS answered, ${endedJob('j', {
      state: 'answer.kind',
      output: `CASE WHEN answer.kind = 'completed' THEN nullif(answer.output, 'null') END`,
      error: `CASE WHEN answer.kind = 'failed' THEN answer.output->'error' END`,
      fingerprint: `CASE WHEN answer.kind = 'failed' THEN answer.output->'failure'->>'fingerprint' END`,
      attempt: `CASE WHEN answer.kind = 'expired' THEN j.retry_count ELSE j.retry_count + 1 END`,
      started_at: `CASE WHEN answer.kind <> 'expired' THEN j.started_on END`,
      worker: '$7',
      credentials: 'answer.credentials',
    })}
  ),
  ${keepEnded},
  failed AS (
    SELECT id, attempt, task_id, tenant_id, kind AS result, output, started_on AS started_at, $7 AS worker
    FROM waiting WHERE kind = 'retry'
    UNION ALL
    SELECT id, attempt, task_id, tenant_id, state, answered, started_at, worker FROM ended WHERE state = 'failed'
  ),
  ${keepFailed},
  announced AS (
    SELECT pg_notify('${readyChannel}', task_id) FROM waiting
    WHERE kind IN ('retry', 'postponed') AND delay_ms <= 0 GROUP BY task_id
  )
  SELECT id, (SELECT count(*) FROM announced) AS announced FROM waiting
  UNION ALL
  SELECT id, 0 FROM ended`

/**
 * The common case in a shape of its own, half the work to plan: all have completed. Index: the primary key.
 */
const completeSql = `
  WITH answer AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[], $5::jsonb[], $6::jsonb[])
      AS answer (name, id, retry_count, started_on, credentials, output)
  ),
  ended AS (
    DELETE FROM ${jobTable} j USING answer WHERE ${isTheirs}
    RETURNING ${endedJob('j', {
      state: `'completed'`,
      output: `nullif(answer.output, 'null')`,
      error: 'NULL::jsonb',
      fingerprint: 'NULL::text',
      attempt: 'j.retry_count + 1',
      started_at: 'j.started_on',
      worker: '$7',
      credentials: 'answer.credentials',
    })}
  ),
  ${keepEnded}
  SELECT id FROM ended`

/** The ids that were settled; the others were not ours any more. */
export async function settle(
  database: Database,
  settlements: readonly Settlement[],
  worker: string,
): Promise<Set<string>> {
  const claims = settlements.map(({ claim }) => claim)
  const answers = [
    claims.map((claim) => claim.taskId),
    claims.map((claim) => claim.id),
    claims.map((claim) => claim.retryCount),
    claims.map((claim) => claim.startedOn),
    settlements.map(({ credentials }) => credentials),
    settlements.map(({ output }) => output),
    worker,
  ]
  const held = settlements.filter(({ kind }) => kind === 'held')
  const allCompleted = settlements.every(({ kind }) => kind === 'completed')
  const { rows } = allCompleted
    ? await database.queryWith<{ id: string }>(byPrimaryKey, completeSql, answers)
    : await database.queryWith<{ id: string }>(byPrimaryKey, settleSql, [
        ...answers,
        settlements.map(({ kind }) => kind),
        settlements.map(({ delayMs }) => delayMs),
        held.map(({ claim }) => claim.tenantId),
        held.map(({ heldBy }) => heldBy),
      ])
  return new Set(rows.map(({ id }) => id))
}

export function toSettlement(
  claim: Claim,
  outcome: Exclude<Outcome, { kind: 'abandoned' }>,
  versions: CredentialVersions = {},
): Settlement {
  const credentials = Object.keys(versions).length > 0 ? JSON.stringify(versions) : null
  const settled = { claim, kind: outcome.kind, delayMs: 0, credentials }
  switch (outcome.kind) {
    case 'completed':
      return { ...settled, output: JSON.stringify(outcome.output) }
    case 'retry': {
      const { delayMs, error } = outcome
      return { ...settled, delayMs, output: JSON.stringify(toKeptFailure(claim.taskId, error)) }
    }
    case 'failed':
      return { ...settled, output: JSON.stringify(toKeptFailure(claim.taskId, outcome.error)) }
    case 'cancelled':
      return { ...settled, output: 'null' }
    case 'postponed': {
      const { delayMs, reason: error } = outcome
      return { ...settled, delayMs, output: JSON.stringify({ error }) }
    }
    case 'held': {
      const { by, begun, reason: error } = outcome
      return { ...settled, output: JSON.stringify({ held: by, begun, error }), heldBy: by }
    }
  }
}

/** Claimed and never started. */
export function handedBack(claim: Claim): Settlement {
  return { claim, kind: 'postponed', delayMs: 0, output: 'null', credentials: null }
}

export function expired(claim: Claim): Settlement {
  return { claim, kind: 'expired', delayMs: 0, output: 'null', credentials: null }
}
