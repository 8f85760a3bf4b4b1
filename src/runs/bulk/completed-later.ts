/**
 * Of how many runs there is a later one that did what they were to do: replaying those is likely not needed. It is told
 * to whoever decides and decides nothing itself, so what it costs is bounded: in rows, and in time.
 */
import type { Run } from '../../task/run.ts'
import type { BulkDependencies } from './deps.ts'

export interface CompletedLater {
  count: number
  /** So many of the runs were looked at. */
  of: number
}

/** So many runs that completed later are compared with a page of runs. */
const comparedRows = 20_000
const longestMs = 5_000

export const completedLaterSettings = [
  ...['enable_seqscan', 'off'],
  ...['enable_sort', 'off'],
  ...['jit', 'off'],
  ...['statement_timeout', `${longestMs}ms`],
]
const statementCancelled = '57014'

/**
 * The next ones that completed, of each task and tenant of the page, by what triggered them: that is the order of the
 * index. Those of one payload are one row, however many runs of it are asked about. Indexes:
 * platform_runs_tenant_stripe, platform_runs_replay_of.
 */
export const completedLaterSql = `
  WITH old AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[])
      AS old (id, task_id, tenant_id, created_at, payload)
  ),
  stripe AS (
    SELECT task_id, tenant_id, triggered_by, min(created_at) AS since
    FROM old CROSS JOIN unnest(ARRAY['app', 'schedule', 'replay', 'run']) AS triggered_by
    GROUP BY task_id, tenant_id, triggered_by
  ),
  later AS MATERIALIZED (
    SELECT stripe.task_id, stripe.tenant_id, next.payload, max(next.created_at) AS created_at
    FROM stripe CROSS JOIN LATERAL (
      SELECT payload, created_at FROM public.platform_runs AS run
      WHERE run.tenant_id = stripe.tenant_id AND run.task_id = stripe.task_id AND run.state = 'completed'
        AND run.triggered_by = stripe.triggered_by AND run.created_at > stripe.since
      ORDER BY run.created_at, run.id LIMIT greatest(1, $6 / (SELECT count(*) FROM stripe))
    ) AS next
    GROUP BY stripe.task_id, stripe.tenant_id, next.payload
  )
  SELECT count(*)::int AS count
  FROM old LEFT JOIN later USING (task_id, tenant_id, payload)
  LEFT JOIN LATERAL (
    SELECT true AS has_completed FROM public.platform_runs AS replay
    WHERE replay.replay_of = old.id::text AND replay.state = 'completed' LIMIT 1
  ) AS replay ON true
  WHERE later.created_at > old.created_at OR replay.has_completed`

export function completedLaterValues(runs: readonly Run[]): unknown[] {
  return [
    runs.map(({ id }) => id),
    runs.map(({ taskId }) => taskId),
    runs.map(({ tenantId }) => tenantId),
    runs.map(({ createdAt }) => createdAt),
    runs.map(({ payload }) => JSON.stringify(payload)),
    comparedRows,
  ]
}

/** Counts page by page, until it has taken too long. */
export class CompletedLaterCount {
  readonly #database: BulkDependencies['database']
  #leftMs = longestMs
  #count = 0
  #of = 0

  constructor({ database }: BulkDependencies) {
    this.#database = database
  }

  get result(): CompletedLater {
    return { count: this.#count, of: this.#of }
  }

  async add(runs: readonly Run[]): Promise<void> {
    if (this.#leftMs <= 0) return
    const from = performance.now()
    const found = await this.#look(runs)
    this.#leftMs -= performance.now() - from
    if (found === null) return
    this.#count += found
    this.#of += runs.length
  }

  /** Null: it takes too long to tell. */
  async #look(runs: readonly Run[]): Promise<number | null> {
    try {
      const { rows } = await this.#database.queryWith<{ count: number }>(
        completedLaterSettings,
        completedLaterSql,
        completedLaterValues(runs),
      )
      return rows[0]!.count
    } catch (error) {
      if ((error as { code?: string }).code !== statementCancelled) throw error
      this.#leftMs = 0
      return null
    }
  }
}
