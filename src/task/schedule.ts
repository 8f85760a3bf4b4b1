/** When a task runs by itself: what its definition says, checked, with everything that was left out filled in. */
import { z } from 'zod'
import { InvalidTaskError } from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'
import { isTimezone } from '../tenants/timezone.ts'
import { readCron } from './cron.ts'
import { type Duration, parseDuration } from './duration.ts'
import type { JsonValue } from './json.ts'
import type { PayloadSchema } from './payload.ts'

// biome-ignore lint/suspicious/noExplicitAny: a list of tasks holds different schemas, which only `any` unifies.
export interface TaskSchedule<Schema extends PayloadSchema = any> {
  /** Tells the schedules of a task apart; 'default' where there is one. What is kept about a schedule is kept by its key. */
  key?: string
  /** Minute, hour, day of month, month, day of week: `30 2 * * *`. */
  cron: string
  /** An IANA name, or 'tenant' for each tenant's own; 'UTC' by default. */
  timezone?: string
  /** Whom it runs for: every active tenant, or ('platform') the one tenant that `payload.tenantId` names. */
  each?: 'tenant' | 'platform'
  /**
   * What becomes of times that passed while nothing was running: none of them runs, the latest does, or all do (at most
   * the last 100). 'once' by default.
   */
  catchUp?: 'skip' | 'once' | 'all'
  /** 'skip': a tenant whose run of the time before is still open gets no new one. 'allow' by default. */
  overlap?: 'allow' | 'skip'
  /** Runs are spread over this long, each tenant always at the same place in it. At most '24h'. */
  window?: Duration
  /** What the payload has besides `tenantId`; needed where the schema requires anything. */
  payload?: Omit<z.input<Schema>, 'tenantId'> & { tenantId?: string }
}

/** A schedule as the platform uses it. */
export interface ScheduleRule {
  readonly key: string
  readonly cron: string
  /** IANA name, or 'tenant'. */
  readonly timezone: string
  /** The one tenant it is for; null: every active one. */
  readonly onlyTenant: string | null
  readonly catchUp: 'skip' | 'once' | 'all'
  readonly overlap: 'allow' | 'skip'
  readonly windowMs: number
  /** Without `tenantId`. */
  readonly payload: Readonly<Record<string, JsonValue>>
}

export const defaultKey = 'default'
const keyPattern = /^[a-z0-9]+(-[a-z0-9]+)*$/
const longestKey = 60
const longestWindowMs = 86_400_000

const fields: readonly string[] = [
  'key',
  'cron',
  'timezone',
  'each',
  'catchUp',
  'overlap',
  'window',
  'payload',
] satisfies (keyof TaskSchedule)[]

/** @throws InvalidTaskError */
export function readSchedules<Schema extends PayloadSchema>(
  taskId: string,
  schema: Schema,
  schedules: readonly TaskSchedule<Schema>[],
): readonly ScheduleRule[] {
  if (!Array.isArray(schedules) || schedules.some((one) => typeof one !== 'object' || one === null)) {
    throw new InvalidTaskError(`schedules of ${taskId} must be a list like [{ cron: '0 3 * * *' }].`)
  }
  const rules = schedules.map((schedule) => readSchedule(taskId, schema, schedule))
  const twice = rules.find(({ key }, index) => rules.findIndex((one) => one.key === key) < index)
  if (!twice) return Object.freeze(rules)
  throw new InvalidTaskError(
    `Two schedules of ${taskId} have the key "${twice.key}". Give each a key of its own, such as 'nightly'.`,
  )
}

function readSchedule(taskId: string, schema: PayloadSchema, schedule: TaskSchedule): ScheduleRule {
  const { key = defaultKey, timezone = 'UTC', each = 'tenant', window = 0 } = schedule
  const { catchUp = 'once', overlap = 'allow' } = schedule
  const refuse = (problem: string): never => {
    throw new InvalidTaskError(`A schedule of ${taskId} cannot be used: ${problem}.`)
  }
  const unknown = Object.keys(schedule).find((name) => !fields.includes(name))
  if (unknown !== undefined) refuse(`there is no field ${unknown}`)
  if (!isScheduleKey(key))
    refuse(`key must be lower-case words joined by -, at most ${longestKey} characters`)
  const cron = readCron(schedule.cron) ?? refuse(cronProblem)
  if (timezone !== 'tenant' && !isTimezone(timezone)) refuse(timezoneProblem)
  if (!['tenant', 'platform'].includes(each)) refuse("each must be 'tenant' or 'platform'")
  if (!['skip', 'once', 'all'].includes(catchUp)) refuse("catchUp must be 'skip', 'once' or 'all'")
  if (!['allow', 'skip'].includes(overlap)) refuse("overlap must be 'allow' or 'skip'")
  const windowMs =
    parseDuration(window, 0, longestWindowMs) ?? refuse("window must be a duration like '10m', at most '24h'")
  const { tenantId, ...payload } =
    readPayload(schedule.payload) ?? refuse('payload must be an object that JSON can carry')
  if (each === 'tenant' && tenantId !== undefined) {
    refuse("payload.tenantId is each tenant's own; to run for one tenant alone, say each: 'platform'")
  }
  if (each === 'platform' && tenantId === undefined) {
    refuse("each: 'platform' needs payload.tenantId, the tenant that it runs for")
  }
  const onlyTenant = tenantId === undefined ? null : parseSlug(tenantId)
  const issue = findIssue(schema, payload, onlyTenant)
  if (issue) refuse(`its payload does not fit the task: ${issue}`)
  return Object.freeze({ key, cron, timezone, onlyTenant, catchUp, overlap, windowMs, payload })
}

export const cronProblem =
  "cron must be five fields like '30 2 * * *' (minute, hour, day of month, month, day of week) that come at some time"
export const timezoneProblem = "timezone must be an IANA name such as Europe/Berlin, or 'tenant'"

export function isScheduleKey(value: unknown): value is string {
  return typeof value === 'string' && value.length <= longestKey && keyPattern.test(value)
}

/** As it arrives: through JSON. Null: no object, or one without a JSON form. */
function readPayload(payload: unknown = {}): Record<string, JsonValue> | null {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return null
  try {
    return JSON.parse(JSON.stringify(payload)) as Record<string, JsonValue>
  } catch {
    return null
  }
}

/** A schema that can only be parsed asynchronously is not asked here: a run whose payload does not fit it fails. */
function findIssue(schema: PayloadSchema, payload: object, onlyTenant: string | null): string | null {
  try {
    const { error } = schema.safeParse({ ...payload, tenantId: onlyTenant ?? 'sample' })
    // What a schema has against the sample it need not have against a tenant.
    const issue = error?.issues.find(({ path }) => onlyTenant !== null || path[0] !== 'tenantId')
    return issue ? `${[...issue.path.map(String), issue.message].join(': ')}` : null
  } catch (error) {
    if (error instanceof z.core.$ZodAsyncError) return null
    throw error
  }
}
