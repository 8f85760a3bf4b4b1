/** What a tenant has otherwise than its tasks say: written here, read where ticks are planned and handed out. */
import type { Database } from '../db/database.ts'
import { InvalidPayloadError, InvalidScheduleError } from '../errors.ts'
import { readCron } from '../task/cron.ts'
import type { AnyTask } from '../task/define.ts'
import type { JsonValue } from '../task/json.ts'
import { acceptPayload } from '../task/payload.ts'
import { cronProblem, timezoneProblem } from '../task/schedule.ts'
import { isTimezone } from '../tenants/timezone.ts'
import { notePast } from './past.ts'
import type { ScheduleKey } from './schedule.ts'

export interface ScheduleSettings {
  /** Null, here and below: as the task says. */
  cron?: string | null | undefined
  /** An IANA name, or 'tenant' for the tenant's own. */
  timezone?: string | null | undefined
  /** Instead of the task's, without `tenantId`. */
  payload?: Record<string, unknown> | null | undefined
}

/** As they are stored; what is undefined stays as it is. */
export interface ReadSettings {
  cron: string | null | undefined
  timezone: string | null | undefined
  payload: Record<string, JsonValue> | null | undefined
}

const fields: readonly string[] = ['cron', 'timezone', 'payload'] satisfies (keyof ScheduleSettings)[]

/** @throws InvalidScheduleError; InvalidPayloadError when the payload does not fit the task's schema. */
export async function readSettings(
  task: AnyTask,
  tenantId: string,
  settings: ScheduleSettings,
  maxPayloadBytes: number,
): Promise<ReadSettings> {
  if (typeof settings !== 'object' || settings === null) refuse('they are an object like { cron, timezone }')
  const unknown = Object.keys(settings).find((name) => !fields.includes(name))
  if (unknown !== undefined) refuse(`there is no setting ${unknown}`)
  const { cron: given, timezone, payload } = settings
  const cron = typeof given === 'string' ? (readCron(given) ?? refuse(cronProblem)) : given
  if (cron != null && typeof cron !== 'string') refuse(cronProblem)
  if (timezone != null && timezone !== 'tenant' && !isTimezone(timezone)) refuse(timezoneProblem)
  if (payload == null) return { cron, timezone, payload }
  return { cron, timezone, payload: await readPayload(task, tenantId, payload, maxPayloadBytes) }
}

async function readPayload(
  task: AnyTask,
  tenantId: string,
  payload: unknown,
  maxBytes: number,
): Promise<Record<string, JsonValue>> {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw new InvalidPayloadError(task.id, [{ path: '', message: 'must be an object' }])
  }
  const { input } = await acceptPayload(task.id, task.schema, { ...payload, tenantId }, maxBytes)
  const { tenantId: _, ...rest } = input as Record<string, JsonValue>
  return rest
}

/** One row, merged with what was there. `extra`: the schedule is the tenant's own, and has no other. Called by `Ticker.change`. */
export async function writeSettings(
  database: Database,
  tenantId: string,
  schedule: ScheduleKey,
  { cron, timezone, payload }: ReadSettings,
  { extra, at }: { extra: boolean; at: Date },
): Promise<void> {
  const { sql } = database
  const { taskId, key } = schedule
  await notePast(database, tenantId, schedule, at)
  if (extra) await beginPlanning(database, schedule, at)
  const kept = (given: unknown) => given === undefined
  // An extra one is checked to have a cron text before it is found to be there already, with one.
  const cronToInsert = sql`coalesce(${cron ?? null}::text, (
    SELECT cron FROM public.platform_schedules
    WHERE extra AND tenant_id = ${tenantId} AND task_id = ${taskId} AND key = ${key}))`
  await sql`
    INSERT INTO public.platform_schedules AS own
      (tenant_id, task_id, key, extra, cron, timezone, payload)
    VALUES (${tenantId}, ${taskId}, ${key}, ${extra}, ${cronToInsert},
      ${timezone ?? (extra ? 'UTC' : null)}, ${payload == null ? null : sql.json(payload)})
    ON CONFLICT (tenant_id, task_id, key) DO UPDATE SET
      extra = excluded.extra,
      cron = CASE WHEN ${kept(cron)} THEN own.cron ELSE excluded.cron END,
      timezone = CASE WHEN ${kept(timezone)} THEN own.timezone ELSE excluded.timezone END,
      payload = CASE WHEN ${kept(payload)} THEN own.payload ELSE excluded.payload END`
}

/** One that is new has its first time right after this, also when nobody plans before that has come. */
async function beginPlanning({ sql }: Database, { taskId, key }: ScheduleKey, at: Date): Promise<void> {
  await sql`
    INSERT INTO public.platform_schedule_progress AS known (task_id, key, planned_until)
    VALUES (${taskId}, ${key}, ${at})
    ON CONFLICT (task_id, key) DO UPDATE SET planned_until = greatest(known.planned_until, excluded.planned_until)`
}

/** True: there was something otherwise. Called by `Ticker.change`. */
export async function deleteSettings(
  database: Database,
  tenantId: string,
  schedule: ScheduleKey,
  at: Date,
): Promise<boolean> {
  const { taskId, key } = schedule
  await notePast(database, tenantId, schedule, at)
  const { rowCount } = await database.sql`
    DELETE FROM public.platform_schedules WHERE tenant_id = ${tenantId} AND task_id = ${taskId} AND key = ${key}`
  return rowCount > 0
}

/** Null: of any tenant. */
export async function hasExtra(
  { sql }: Database,
  tenantId: string | null,
  { taskId, key }: ScheduleKey,
): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM public.platform_schedules
    WHERE extra AND task_id = ${taskId} AND key = ${key} AND (${tenantId}::text IS NULL OR tenant_id = ${tenantId})
    LIMIT 1`
  return rows.length > 0
}

function refuse(problem: string): never {
  throw new InvalidScheduleError(`These settings cannot be used: ${problem}.`)
}
