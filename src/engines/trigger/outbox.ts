/**
 * public.platform_trigger_runs: what Trigger.dev has yet to be given, and its ids of what it has. Whoever takes a row has
 * it for a while; what is not settled by then is anybody's again, so it does not matter who dies in between.
 */
import type { Database } from '../../db/database.ts'
import type { Transaction } from '../../db/transaction.ts'
import { portions } from '../../portions.ts'
import { keepFailed, toKeptFailure } from '../../runs/keep-failed.ts'
import type { JsonValue, RunError } from '../../task/json.ts'
import type { RunRequest } from '../../task/run.ts'
import { workerName } from './attempt-facts.ts'

/** A run that is to be given to Trigger.dev. */
export interface Due {
  request: RunRequest
  /** This one included. */
  tries: number
  createdAt: Date
}

/** What the table knows of a run. */
export interface KnownRun {
  triggerId: string | null
  /** Null once Trigger.dev's id is known. */
  request: Omit<RunRequest, 'input'> | null
  /** Null where it is not kept any more. */
  input: JsonValue
  refused: RunError | null
  createdAt: Date
  /** Accepted, with others, by Trigger.dev. */
  sentAt: Date | null
}

/** Longer than giving takes: what is taken is given in one call, or a few, and the first that fails ends it. */
const leaseMs = 120_000
const rowsPerInsert = 1_000
const keptDays = 30

type Query = <Row>(text: string, values: unknown[]) => Promise<{ rows: Row[]; rowCount: number }>

export class Outbox {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** The runs are promised when this transaction commits, and due at once. */
  async insert(requests: readonly RunRequest[], transaction: Transaction): Promise<void> {
    await this.#insert(requests, transaction, { dueInMs: 0, tries: 0 })
  }

  /** The runs are promised now, and the caller has taken them. */
  async insertTaken(requests: readonly RunRequest[]): Promise<void> {
    await this.#insert(requests, null, { dueInMs: leaseMs, tries: 1 })
  }

  async #insert(
    requests: readonly RunRequest[],
    transaction: Transaction | null,
    { dueInMs, tries }: { dueInMs: number; tries: number },
  ): Promise<void> {
    const query: Query = (text, values) =>
      transaction ? transaction.executeAsPlatform(text, values) : this.#database.query(text, values)
    for (const some of portions(requests, rowsPerInsert)) {
      await query(insertSql, [
        some.map(({ id }) => id),
        some.map(({ tenantId }) => tenantId),
        some.map(({ taskId }) => taskId),
        some.map((request) => JSON.stringify(request)),
        dueInMs,
        tries,
      ])
    }
  }

  /** Takes those of these runs that are due and that nobody else has. */
  async take(runIds: readonly string[]): Promise<Due[]> {
    return await this.#take(takeSql, runIds)
  }

  /** Takes what has been due for longest. */
  async takeDue(limit: number): Promise<Due[]> {
    return await this.#take(takeDueSql, limit)
  }

  async #take(text: string, which: unknown): Promise<Due[]> {
    const { rows } = await this.#database.query<TakenRow>(text, [which, leaseMs])
    return rows.map(({ request, tries, createdAt }) => ({ request: revive(request), tries, createdAt }))
  }

  /** Whoever has these has them for a while longer, or for as long as it says. */
  async keep(runIds: readonly string[], forMs = leaseMs): Promise<void> {
    await this.#database.query(keepSql, [runIds, forMs])
  }

  /** Trigger.dev has these runs, by these ids. Of a run that has an id already, the first one stays. */
  async sent(runs: readonly { request: RunRequest; triggerId: string }[]): Promise<void> {
    await this.#database.query(sentSql, [
      runs.map(({ request }) => request.id),
      runs.map(({ request }) => request.tenantId),
      runs.map(({ request }) => request.taskId),
      runs.map(({ triggerId }) => triggerId),
    ])
  }

  /** Trigger.dev has these runs and has not told their ids. */
  async accepted(runIds: readonly string[]): Promise<void> {
    await this.#database.query(acceptedSql, [runIds])
  }

  /** Nobody tries this one again. */
  async refuse({ id, taskId }: RunRequest, error: RunError): Promise<void> {
    await this.#database.query(refuseSql, [id, JSON.stringify(toKeptFailure(taskId, error)), workerName()])
  }

  /** These were never promised to anybody. */
  async withdraw(runIds: readonly string[]): Promise<void> {
    await this.#database.query(withdrawSql, [runIds])
  }

  /** A run that was accepted with others has been seen. */
  async found(runId: string, triggerId: string): Promise<void> {
    await this.#database.query(foundSql, [runId, triggerId])
  }

  async find(runId: string): Promise<KnownRun | null> {
    const { rows } = await this.#database.query<FoundRow>(findSql, [runId])
    const [row] = rows
    return row ? { ...row, request: row.request && revive(row.request) } : null
  }

  /** Those of these runs that somebody has asked for already. */
  async knownAmong(runIds: readonly string[]): Promise<Set<string>> {
    const { rows } = await this.#database.query<{ id: string }>(knownAmongSql, [runIds])
    return new Set(rows.map(({ id }) => id))
  }

  async countDue(tenantId: string): Promise<number> {
    const { rows } = await this.#database.query<{ count: number }>(countDueSql, [tenantId])
    return rows[0]?.count ?? 0
  }

  /** Forgets a tenant. Answers Trigger.dev's ids of what was triggered in the last minutes: its lists may lack them. */
  async drop(tenantId: string): Promise<string[]> {
    const { rows } = await this.#database.query<{ triggerId: string }>(dropSql, [tenantId])
    return rows.map(({ triggerId }) => triggerId)
  }

  /** Deletes what is old, a little at a time. Answers how many. */
  async forgetOld(limit: number): Promise<number> {
    return (await this.#database.query(forgetOldSql, [keptDays, limit])).rowCount
  }
}

interface TakenRow {
  request: RunRequest
  tries: number
  createdAt: Date
}

type FoundRow = Omit<KnownRun, 'request'> & { request: RunRequest | null }

/** JSON knows no times. */
function revive(request: RunRequest): RunRequest {
  return { ...request, runAt: request.runAt === null ? null : new Date(request.runAt) }
}

// ── statements ──────────────────────────────────────────────────────────────────────────────────────────────

/** A request that is made again is that request. */
const insertSql = `
  INSERT INTO public.platform_trigger_runs (run_id, tenant_id, task_id, request, next_try_at, tries)
  SELECT run_id, tenant_id, task_id, request, clock_timestamp() + $5::float8 * interval '1 millisecond', $6::int
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) AS given (run_id, tenant_id, task_id, request)
  ON CONFLICT (run_id) DO NOTHING`

function takeSqlOf(due: string): string {
  return `
  WITH due AS (SELECT run_id FROM public.platform_trigger_runs WHERE ${due} FOR UPDATE SKIP LOCKED)
  UPDATE public.platform_trigger_runs AS run
  SET next_try_at = clock_timestamp() + $2::float8 * interval '1 millisecond', tries = tries + 1
  FROM due WHERE run.run_id = due.run_id
  RETURNING run.request, run.tries, run.created_at AS "createdAt"`
}

/** Index: the primary key. */
const takeSql = takeSqlOf('run_id = ANY ($1::uuid[]) AND next_try_at <= clock_timestamp()')

/** Index: platform_trigger_runs_due. */
const takeDueSql = takeSqlOf('next_try_at <= now() ORDER BY next_try_at LIMIT $1')

const keepSql = `
  UPDATE public.platform_trigger_runs
  SET next_try_at = clock_timestamp() + $2::float8 * interval '1 millisecond'
  WHERE run_id = ANY ($1::uuid[]) AND next_try_at IS NOT NULL`

/** Of a run with two ids of Trigger.dev, the one that came first stays. */
export const sentSql = `
  INSERT INTO public.platform_trigger_runs AS run (run_id, tenant_id, task_id, trigger_id, sent_at)
  SELECT run_id, tenant_id, task_id, trigger_id, clock_timestamp()
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS given (run_id, tenant_id, task_id, trigger_id)
  ON CONFLICT (run_id) DO UPDATE SET
    trigger_id = COALESCE(run.trigger_id, EXCLUDED.trigger_id),
    sent_at = COALESCE(run.sent_at, EXCLUDED.sent_at),
    request = NULL, refused = NULL, next_try_at = NULL`

const acceptedSql = `
  UPDATE public.platform_trigger_runs
  SET request = request - 'input', next_try_at = NULL, sent_at = clock_timestamp()
  WHERE run_id = ANY ($1::uuid[]) AND trigger_id IS NULL`

/** It has failed before its first attempt, and is in a failure group as any other. */
const refuseSql = `
  WITH failed AS (
    UPDATE public.platform_trigger_runs SET refused = $2::jsonb->'error', next_try_at = NULL
    WHERE run_id = $1 AND trigger_id IS NULL AND refused IS NULL
    RETURNING run_id AS id, 0 AS attempt, task_id, tenant_id, 'failed' AS result, $2::jsonb AS output,
      now() AS started_at, $3::text AS worker
  ),
  ${keepFailed}
  SELECT`

const withdrawSql = `
  DELETE FROM public.platform_trigger_runs WHERE run_id = ANY ($1::uuid[]) AND trigger_id IS NULL`

const foundSql = `
  UPDATE public.platform_trigger_runs SET trigger_id = $2, request = NULL, refused = NULL, next_try_at = NULL
  WHERE run_id = $1 AND trigger_id IS NULL`

/** Index: the primary key. */
const findSql = `
  SELECT trigger_id AS "triggerId", request - 'input' AS request, request -> 'input' AS input, refused,
    created_at AS "createdAt", sent_at AS "sentAt"
  FROM public.platform_trigger_runs WHERE run_id = $1`

/** Index: the primary key. */
const knownAmongSql = `
  SELECT run_id AS id FROM public.platform_trigger_runs WHERE run_id = ANY ($1::uuid[])`

/** Index: platform_trigger_runs_due, which is empty but for what waits. */
const countDueSql = `
  SELECT count(*)::int AS count FROM public.platform_trigger_runs
  WHERE next_try_at IS NOT NULL AND tenant_id = $1`

/** Index: platform_trigger_runs_tenant. */
const dropSql = `
  WITH dropped AS (
    DELETE FROM public.platform_trigger_runs WHERE tenant_id = $1 RETURNING trigger_id, created_at)
  SELECT trigger_id AS "triggerId" FROM dropped
  WHERE trigger_id IS NOT NULL AND created_at > now() - interval '2 minutes'`

/** Index: platform_trigger_runs_created_at. */
const forgetOldSql = `
  DELETE FROM public.platform_trigger_runs WHERE run_id IN (
    SELECT run_id FROM public.platform_trigger_runs
    WHERE created_at < now() - $1::int * interval '1 day' AND next_try_at IS NULL
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
