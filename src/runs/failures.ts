/**
 * Failure groups: failed attempts that are alike (fingerprint.ts), how often, for whom, since when, and whether anybody
 * has dealt with them (failure-marks.ts).
 *
 * Inside a tenant's context there are only that tenant's groups, and its part of them.
 */
import type { Database } from '../db/database.ts'
import { InvalidRunFilterError, UnknownFailureGroupError } from '../errors.ts'
import { surroundingTenant, withinTenant } from '../tenants/surrounding.ts'
import {
  checkIgnoredUntil,
  type FailureMark,
  type FailureState,
  failureStates,
  lastMark,
  markFailure,
  stateOf,
} from './failure-marks.ts'
import { largestPage, text } from './filter.ts'

export interface FailureGroup {
  fingerprint: string
  state: FailureState
  taskId: string
  errorName: string
  errorCode: string | null
  /** What their messages have in common: <number>, <id> and the like stand for what differs. */
  message: string
  /** The app's own function and file that they came out of, where there is one. */
  frame: string | null
  /** Failed attempts. */
  failures: number
  tenants: number
  firstSeenAt: Date
  lastSeenAt: Date
  resolvedAt: Date | null
  ignoredUntil: Date | null
  /** Failed attempts in each of the last 24 hours, the oldest first; the last one is not over yet. */
  hours: number[]
  /** The last one. Its run may be past its retention. */
  last: { runId: string; tenantId: string; message: string }
}

export interface FailureFilter {
  /** Everything is then told of this tenant alone, and a group it has no part in is not there. */
  tenantId?: string
  taskId?: string
  states?: readonly FailureState[]
  /** Groups per page, 1 to 1000; 50 by default. */
  limit?: number
  /** `next` of the page before. */
  after?: string
}

export interface FailurePage {
  /** Those seen last first. */
  groups: FailureGroup[]
  next: string | null
}

/** For one tenant, of which there must be something in the group; without one, for all. */
export interface FailureOf {
  tenantId?: string
}

/** Inside a tenant's context all throw TenantMismatchError where they are asked about another tenant. */
export interface Failures {
  /** @throws InvalidRunFilterError. */
  list(filter?: FailureFilter): Promise<FailurePage>
  /** @throws UnknownFailureGroupError. */
  get(fingerprint: string, of?: FailureOf): Promise<FailureGroup>
  /** Dealt with; open again when it comes back. @throws UnknownFailureGroupError. */
  resolve(fingerprint: string, of?: FailureOf): Promise<void>
  /**
   * Not open before `until`, which is at most a year ahead, but for tenants that it has not hit so far.
   * @throws UnknownFailureGroupError, InvalidFailureMarkError.
   */
  ignore(fingerprint: string, until: Date, of?: FailureOf): Promise<void>
  /** @throws UnknownFailureGroupError. */
  reopen(fingerprint: string, of?: FailureOf): Promise<void>
}

export function createFailures(ready: () => Promise<{ database: Database }>): Failures {
  const database = async () => (await ready()).database
  const mark = async (fingerprint: string, of: FailureOf, made: FailureMark) => {
    const { tenantId = null } = checked(fingerprint, of)
    await markFailure(await database(), fingerprint, tenantId, made)
  }
  return {
    async list(filter = {}) {
      checkFailureFilter(filter)
      return await listGroups(await database(), ofSurrounding(filter))
    },

    async get(fingerprint, of = {}) {
      const { groups } = await listGroups(
        await database(),
        { ...checked(fingerprint, of), limit: 1 },
        fingerprint,
      )
      if (!groups[0]) throw new UnknownFailureGroupError(fingerprint)
      return groups[0]
    },

    resolve: (fingerprint, of = {}) => mark(fingerprint, of, { resolved: true, ignoredUntil: null }),
    reopen: (fingerprint, of = {}) => mark(fingerprint, of, { resolved: false, ignoredUntil: null }),

    async ignore(fingerprint, until, of = {}) {
      checkIgnoredUntil(until)
      await mark(fingerprint, of, { resolved: false, ignoredUntil: until })
    },
  }
}

function ofSurrounding<Filter extends FailureOf>(filter: Filter): Filter {
  return withinTenant(filter, surroundingTenant('failures'), 'Failures')
}

function checked(fingerprint: string, { tenantId }: FailureOf): FailureOf {
  text(fingerprint, 'fingerprint')
  if (tenantId !== undefined) text(tenantId, 'tenantId')
  return ofSurrounding(tenantId === undefined ? {} : { tenantId })
}

const mark = lastMark({
  fingerprint: 'seen.fingerprint',
  tenantId: '$1',
  since: `CASE WHEN $1::text IS NULL THEN '-infinity' ELSE seen.first_at END`,
})
const state = stateOf('mark', 'seen')

/**
 * Indexes: platform_failure_counts_tenant and _group. Without a tenant all counts are added up; upkeep keeps them few
 * (failure-counts.ts).
 */
export const listSql = `
  WITH parts AS (
    SELECT fingerprint, sum(failures) AS failures, min(first_at) AS first_at, max(last_at) AS last_at
    FROM public.platform_failure_counts
    WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR fingerprint = $2)
    GROUP BY fingerprint, tenant_id
  ),
  seen AS (
    SELECT fingerprint, sum(failures)::float8 AS failures, count(*)::int AS tenants, min(first_at) AS first_at,
      max(first_at) AS joined_at, max(last_at) AS last_at
    FROM parts GROUP BY fingerprint
  ),
  page AS (
    SELECT alike.*, seen.failures, seen.tenants, seen.first_at, seen.last_at, mark.resolved_at, mark.ignored_until,
      ${state} AS state
    FROM seen JOIN public.platform_failure_groups AS alike USING (fingerprint)
    LEFT JOIN LATERAL (${mark}) AS mark ON true
    WHERE ($3::text IS NULL OR alike.task_id = $3) AND ($4::text[] IS NULL OR ${state} = ANY($4))
      AND ($5::timestamptz IS NULL OR (seen.last_at, fingerprint) < ($5, $6::text))
    ORDER BY seen.last_at DESC, fingerprint DESC LIMIT $7
  )
  SELECT page.fingerprint, page.state, task_id AS "taskId", error_name AS "errorName", error_code AS "errorCode",
    page.message, frame, page.failures, page.tenants, first_at AS "firstSeenAt", last_at AS "lastSeenAt",
    resolved_at AS "resolvedAt", ignored_until AS "ignoredUntil", last_at::text || '_' || page.fingerprint AS cursor,
    ARRAY(
      SELECT coalesce(sum(counts.failures), 0)::float8
      FROM generate_series(date_trunc('hour', now(), 'UTC') - interval '23 hours', now(), interval '1 hour') AS hour
      LEFT JOIN public.platform_failure_counts AS counts
        ON counts.fingerprint = page.fingerprint AND counts.hour = hour.hour AND ($1::text IS NULL OR counts.tenant_id = $1)
      GROUP BY hour.hour ORDER BY hour.hour
    ) AS hours,
    (
      SELECT jsonb_build_object('runId', run_id, 'tenantId', tenant_id, 'message', counts.message)
      FROM public.platform_failure_counts AS counts
      WHERE counts.fingerprint = page.fingerprint AND ($1::text IS NULL OR counts.tenant_id = $1)
      ORDER BY counts.last_at DESC LIMIT 1
    ) AS last
  FROM page ORDER BY last_at DESC, page.fingerprint DESC`

async function listGroups(
  database: Database,
  filter: FailureFilter,
  fingerprint: string | null = null,
): Promise<FailurePage> {
  const { tenantId = null, taskId = null, states = null, limit = 50, after } = filter
  const [lastAt, last] = after === undefined ? [null, null] : readCursor(after)
  const values = [tenantId, fingerprint, taskId, states, lastAt, last, limit + 1]
  const { rows } = await database.query<FailureGroup & { cursor: string }>(listSql, values)
  const page = rows.slice(0, limit)
  return {
    groups: page.map(({ cursor: _, ...group }) => group),
    next: rows.length > limit ? (page.at(-1)?.cursor ?? null) : null,
  }
}

function readCursor(after: string): string[] {
  const found = /^(\d{4}-\d{2}-\d{2} [\d:.]+[+-][\d:]+)_([0-9a-f]{1,64})$/.exec(after)
  if (found) return found.slice(1)
  throw new InvalidRunFilterError('`after` is not the `next` of a page of failure groups.')
}

const known: readonly string[] = [
  'tenantId',
  'taskId',
  'states',
  'limit',
  'after',
] satisfies (keyof FailureFilter)[]

function checkFailureFilter(filter: FailureFilter): void {
  if (typeof filter !== 'object' || filter === null) {
    throw new InvalidRunFilterError('A filter must be an object like { tenantId, states }.')
  }
  const unknown = Object.keys(filter).find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new InvalidRunFilterError(`Failure groups cannot be filtered by ${unknown}.`)
  for (const name of ['tenantId', 'taskId', 'after'] as const) {
    if (filter[name] !== undefined) text(filter[name], name)
  }
  const { states, limit = 50 } = filter
  const areStates = (list: unknown) =>
    Array.isArray(list) && list.length > 0 && list.every((one) => failureStates.includes(one))
  if (states !== undefined && !areStates(states)) {
    throw new InvalidRunFilterError(`states must be some of ${failureStates.join(', ')}.`)
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > largestPage) {
    throw new InvalidRunFilterError(`limit must be a whole number from 1 to ${largestPage}.`)
  }
}
