/**
 * Reading runs. Trigger.dev is the truth about them; failed attempts are in platform_attempts, and whether a run is
 * anybody's is in organizations: Trigger.dev keeps the runs of a tenant that has been deleted, and nobody may see them.
 */
import type { Database } from '../../db/database.ts'
import { InvalidRunFilterError, TriggerRefusedError, TriggerUnavailableError } from '../../errors.ts'
import { readAttempts } from '../../runs/attempts.ts'
import { matches } from '../../runs/matches.ts'
import { storableError } from '../../task/json.ts'
import type { Attempt, Run } from '../../task/run.ts'
import type { RunFilter, RunPage } from '../engine.ts'
import type { ApiFilter, ApiListedRun, TriggerApi } from './api.ts'
import type { KnownRuns } from './known-runs.ts'
import { ownerOf } from './owner.ts'
import { inParallel, Line } from './parallel.ts'
import { readFacts } from './run-facts.ts'
import { isUuid, runTag } from './run-id.ts'
import { runIdOf, type SeenRun, toRun } from './run-view.ts'
import { toStatuses } from './states.ts'
import { tenantTag } from './tags.ts'

/** A database, or a connection that is held. */
interface Queryable {
  query<Row extends object>(text: string, values: unknown[]): Promise<{ rows: Row[] }>
}

/** Trigger.dev's own limit for a page. */
export const pageSize = 100
const callsAtOnce = 10
/** Who waits asks again and again; one that hangs keeps its place for a minute. */
const waitedForAtOnce = 20

export class RunReader {
  readonly #api: TriggerApi
  readonly #database: Database
  readonly #known: KnownRuns
  readonly #waitedFor = new Line(waitedForAtOnce)

  constructor(api: TriggerApi, database: Database, known: KnownRuns) {
    this.#api = api
    this.#database = database
    this.#known = known
  }

  /** By our id, or by Trigger.dev's (`run_...`). */
  async get(runId: string): Promise<Run | null> {
    const shown = (await this.#getShown(runId)) ?? (await this.#known.unseen(runId))
    // Trigger.dev may have got it in between the two.
    return shown ?? (await this.#getShown(runId))
  }

  async #getShown(runId: string): Promise<Run | null> {
    const triggerId = await this.findTriggerId(runId)
    const run = triggerId === null ? null : await this.getByTriggerId(triggerId)
    // It answers to the id it was asked by.
    return run && { ...run, id: isTriggerId(runId) ? run.id : runId }
  }

  /** Each by the id that it is asked by, so that whoever asks knows it again. */
  async getMany(runIds: readonly string[]): Promise<Run[]> {
    const runs = await Promise.all(runIds.map((runId) => this.#waitedFor.run(() => this.get(runId))))
    return runs.flatMap((run, index) => (run ? [{ ...run, id: runIds[index]! }] : []))
  }

  /** Null: there is none, or its tenant is gone. */
  async getByTriggerId(triggerId: string, database: Queryable = this.#database): Promise<Run | null> {
    const run = await this.#api.retrieve(triggerId)
    return run ? ((await this.#complete([run], database)).get(triggerId) ?? null) : null
  }

  /** Null: Trigger.dev lists no such run, or not yet. */
  async findTriggerId(runId: string): Promise<string | null> {
    if (isTriggerId(runId)) return runId
    if (!isUuid(runId)) return null
    const known = await this.#known.triggerIdOf(runId)
    if (known !== undefined) return known
    const { data } = await this.#api.list({ tag: runTag(runId), limit: pageSize })
    // One that was replayed in the dashboard has left its tag to the replay: the first one is meant.
    const found = data.at(-1)
    if (found) await this.#known.found(runId, found.id)
    return found?.id ?? null
  }

  async list(filter: RunFilter): Promise<RunPage> {
    if (filter.after !== undefined && !isTriggerId(filter.after)) {
      throw new InvalidRunFilterError('`after` is not the `next` of a page of runs.')
    }
    const found: { run: Run; triggerId: string }[] = []
    let after = filter.after
    // One more than asked for tells whether there is a next page.
    while (found.length <= filter.limit) {
      const limit = Math.min(pageSize, filter.limit + 1 - found.length)
      const page = await this.#api.list({ ...asApiFilter(filter), limit, ...(after && { after }) })
      const runs = await this.#read(page.data)
      for (const { id: triggerId } of page.data) {
        const run = runs.get(triggerId)
        if (run && matches(run, filter)) found.push({ run, triggerId })
      }
      after = page.data.at(-1)?.id
      if (!page.hasMore || after === undefined) break
    }
    const page = found.slice(0, filter.limit)
    return {
      runs: page.map(({ run }) => run),
      next: found.length > filter.limit ? (page.at(-1)?.triggerId ?? null) : null,
    }
  }

  /** Failed attempts, first to last. */
  async attempts(runId: string): Promise<Attempt[]> {
    const id = isTriggerId(runId) ? ((await this.getByTriggerId(runId))?.id ?? '') : runId
    return await readAttempts(this.#database, id)
  }

  /** Lists tell neither payload nor output nor error, so each run is read. One that cannot be is shown as it is listed. */
  async #read(listed: readonly ApiListedRun[]): Promise<Map<string, Run>> {
    const runs = await inParallel(listed, callsAtOnce, async (run): Promise<SeenRun | null> => {
      try {
        return await this.#api.retrieve(run.id)
      } catch (error) {
        if (!isOfOneRun(error)) throw error
        return { ...run, unreadable: { ...storableError(error), stack: null } }
      }
    })
    return await this.#complete(runs.filter((run) => run !== null))
  }

  async #complete(runs: readonly SeenRun[], database: Queryable = this.#database): Promise<Map<string, Run>> {
    const ours = runs.flatMap((run) => {
      const owner = ownerOf(run.tags, run.payload, readFacts(run.metadata))
      return owner === null ? [] : [{ run, runId: runIdOf(run), ...owner }]
    })
    if (ours.length === 0) return new Map()
    const { rows } = await database.query<{ triggerId: string; last: Attempt | null }>(completeSql, [
      ours.map(({ run }) => run.id),
      ours.map(({ runId }) => runId),
      ours.map(({ tenantId }) => tenantId),
      ours.map(({ organization }) => organization),
      ours.map(({ run }) => run.createdAt),
    ])
    const visible = new Map(rows.map(({ triggerId, last }) => [triggerId, last]))
    return new Map(
      ours.flatMap(({ run, tenantId, runId }) => {
        const last = visible.get(run.id)
        if (last === undefined) return []
        this.#known.learn(runId, run.id)
        return [[run.id, toRun(run, tenantId, last)] as const]
      }),
    )
  }
}

/**
 * Of each run whose tenant is still the one it was made for, the last failed attempt. Where the run does not say which row
 * that tenant was (the dashboard made it), the tenant must have been there before it. Index: the primary keys.
 */
const completeSql = `
  SELECT asked.trigger_id AS "triggerId", (
    SELECT jsonb_build_object('attempt', attempt, 'result', result, 'error', error, 'fingerprint', fingerprint)
    FROM public.platform_attempts WHERE run_id = asked.run_id ORDER BY attempt DESC LIMIT 1
  ) AS last
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[])
    AS asked (trigger_id, run_id, tenant, organization, created_at)
  JOIN public.organizations ON slug = asked.tenant AND CASE
    WHEN asked.organization IS NULL THEN organizations.created_at <= asked.created_at
    ELSE organizations.id = asked.organization
  END`

/** Not what every other run would be answered with as well: Trigger.dev does not know who asks. */
function isOfOneRun(error: unknown): boolean {
  if (error instanceof TriggerRefusedError) return error.status !== 401 && error.status !== 403
  return error instanceof TriggerUnavailableError
}

/** Trigger.dev finds runs that have any of several tags, so it is given one and the rest is looked at here. */
function asApiFilter({ tenantId, taskId, states, tag }: RunFilter): Omit<ApiFilter, 'limit'> {
  // It takes a comma for two tags.
  const byTag = tag !== undefined && !tag.includes(',') ? tag : tenantId && tenantTag(tenantId)
  return {
    ...(byTag !== undefined && { tag: byTag }),
    ...(taskId !== undefined && { taskIdentifier: taskId }),
    ...(states && { status: toStatuses(states) }),
  }
}

function isTriggerId(text: string): boolean {
  return /^run_\w{1,100}$/.test(text)
}
