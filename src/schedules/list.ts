/** Schedules as people ask for them: what holds for whom, and when it comes next. */
import type { Database } from '../db/database.ts'
import { timesAfter } from '../task/cron.ts'
import type { JsonValue } from '../task/json.ts'
import type { TaskRegistry } from '../task/registry.ts'
import type { ScheduleRule } from '../task/schedule.ts'
import { isTimezone } from '../tenants/timezone.ts'
import { localTime } from './local-time.ts'
import { declaredSchedules, extraSchedule, type Schedule, scheduleId } from './schedule.ts'

export interface ListedSchedule extends Pick<ScheduleRule, 'key' | 'catchUp' | 'overlap' | 'windowMs'> {
  /** `orders/reconcile:default` */
  id: string
  taskId: string
  /** Whose; null: as the task says, for all who have nothing else. */
  tenantId: string | null
  origin: 'task' | 'changed' | 'extra'
  cron: string
  /** IANA name, or 'tenant'. */
  timezone: string
  payload: Record<string, JsonValue>
  /** For this tenant, or for all. */
  isPaused: boolean
  /** The next times, unless it is paused, or its tenant is not active or in no time zone that is known. */
  next: NextTime[]
}

export interface NextTime {
  /** Null: each tenant's clock shows it at a moment of its own. */
  at: Date | null
  /** As the clock of its time zone shows it: `2027-03-28T03:00`. */
  clock: string
  /** `+02:00` */
  offset: string | null
}

export interface ListOptions {
  tenantId: string | null
  /** Next times of each. */
  count: number
  now: Date
}

interface TenantRow {
  tenantId: string
  tenantTimezone: string
  isActive: boolean
}

interface OwnRow extends TenantRow {
  taskId: string
  key: string
  extra: boolean
  cron: string | null
  timezone: string | null
  payload: Record<string, JsonValue> | null
  isPaused: boolean
}

/** Those of one tenant, all that hold for it; or what tasks say, and then every tenant's own. */
export async function listSchedules(
  database: Database,
  registry: TaskRegistry,
  options: ListOptions,
): Promise<ListedSchedule[]> {
  const [own, paused, tenants] = await Promise.all([
    readOwn(database, registry, options.tenantId),
    readPaused(database),
    readTenants(database, registry, options.tenantId),
  ])
  const declared = declaredSchedules(registry)
  const ownOf = new Set(own.map((row) => `${row.tenantId} ${scheduleId(row)}`))
  const describe = (schedule: Schedule, row: OwnRow | null, tenant: TenantRow | null) =>
    describeSchedule(schedule, row, tenant, paused.has(scheduleId(schedule)), options)

  const asDeclared = declared.flatMap((schedule) => {
    const { onlyTenant } = schedule.rule
    const tenantId = options.tenantId ?? onlyTenant
    if (onlyTenant !== null && onlyTenant !== tenantId) return []
    if (tenantId !== null && ownOf.has(`${tenantId} ${scheduleId(schedule)}`)) return []
    return [describe(schedule, null, tenantId === null ? null : (tenants.get(tenantId) ?? null))]
  })
  const byId = new Map(declared.map((schedule) => [scheduleId(schedule), schedule]))
  const asOwn = own.flatMap((row) => {
    const schedule = byId.get(scheduleId(row)) ?? (row.extra ? extraOf(registry, row) : null)
    // What a tenant has otherwise than a task says is nothing once the task does not say it any more.
    return schedule ? [describe(schedule, row, row)] : []
  })
  return [...asDeclared, ...asOwn].sort((one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0))
}

function extraOf(registry: TaskRegistry, { taskId, key }: OwnRow): Schedule {
  return extraSchedule(registry.get(taskId), key)
}

function describeSchedule(
  schedule: Schedule,
  own: OwnRow | null,
  tenant: TenantRow | null,
  isPausedForAll: boolean,
  { count, now }: ListOptions,
): ListedSchedule {
  const { taskId, key, rule } = schedule
  const { catchUp, overlap, windowMs } = rule
  const cron = own?.cron ?? rule.cron!
  const timezone = own?.timezone ?? rule.timezone!
  const isPaused = isPausedForAll || own?.isPaused === true
  const zone = timezone === 'tenant' ? (tenant?.tenantTimezone ?? null) : timezone
  const comes = !isPaused && tenant?.isActive !== false
  return {
    id: scheduleId(schedule),
    taskId,
    key,
    tenantId: tenant?.tenantId ?? rule.onlyTenant,
    origin: own?.extra ? 'extra' : own ? 'changed' : 'task',
    cron,
    timezone,
    catchUp,
    overlap,
    windowMs,
    payload: own?.payload ?? { ...rule.payload },
    isPaused,
    next: comes ? nextTimes(cron, zone, now, count) : [],
  }
}

/** Without a zone, by the clock alone: as it would be shown where the clock is never put forward or back. */
function nextTimes(cron: string, timezone: string | null, now: Date, count: number): NextTime[] {
  if (timezone !== null && !isTimezone(timezone)) return []
  return timesAfter(cron, timezone ?? 'UTC', now, count).map((at) => {
    const { clock, offset } = localTime(at, timezone ?? 'UTC')
    return timezone === null ? { at: null, clock, offset: null } : { at, clock, offset }
  })
}

async function readOwn(
  { sql }: Database,
  registry: TaskRegistry,
  tenantId: string | null,
): Promise<OwnRow[]> {
  const { rows } = await sql<OwnRow>`
    SELECT tenant_id AS "tenantId", tenant.timezone AS "tenantTimezone", status = 'active' AS "isActive",
      task_id AS "taskId", key, extra, cron, own.timezone, payload, paused_at IS NOT NULL AS "isPaused"
    FROM public.platform_schedules AS own JOIN public.organizations AS tenant ON slug = tenant_id
    WHERE (${tenantId}::text IS NULL OR tenant_id = ${tenantId})
      AND task_id = ANY(${registry.list().map(({ id }) => id)}::text[])
    ORDER BY tenant_id`
  return rows
}

async function readPaused({ sql }: Database): Promise<Set<string>> {
  const { rows } = await sql<{ taskId: string; key: string }>`
    SELECT task_id AS "taskId", key FROM public.platform_schedule_progress WHERE paused_at IS NOT NULL`
  return new Set(rows.map(scheduleId))
}

/** The one that is asked about, and those that schedules are for alone. */
async function readTenants(
  { sql }: Database,
  registry: TaskRegistry,
  tenantId: string | null,
): Promise<Map<string, TenantRow>> {
  const named = declaredSchedules(registry).flatMap(({ rule }) => rule.onlyTenant ?? [])
  const { rows } = await sql<TenantRow>`
    SELECT slug AS "tenantId", timezone AS "tenantTimezone", status = 'active' AS "isActive"
    FROM public.organizations WHERE slug = ANY(${tenantId === null ? named : [tenantId]}::text[])`
  return new Map(rows.map((row) => [row.tenantId, row]))
}
