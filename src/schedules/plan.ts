/**
 * Planning: every schedule is looked at from where it was planned last until now, and each time that has come gets a
 * row of platform_schedule_ticks, in the transaction that notes how far it is planned. So a time is planned once,
 * however many workers plan, whatever dies, and also when the clock jumps back.
 *
 * No tenant is gone through here: those that have a schedule by one cron text in one time zone share its ticks, so the
 * cost is that of the texts and zones that are in use.
 */
import type { Logger } from 'pino'
import type { Database } from '../db/database.ts'
import type { TaskRegistry } from '../task/registry.ts'
import { isTimezone } from '../tenants/timezone.ts'
import { dueTimes } from './due.ts'
import { isKnown } from './known.ts'
import { declaredSchedules, extraSchedule, type Schedule, scheduleId } from './schedule.ts'
import { briefTransaction } from './transaction.ts'

export interface PlanDependencies {
  database: Database
  registry: TaskRegistry
  logger: Logger
}

/** A schedule, and how far it is planned. */
interface Planned {
  schedule: Schedule
  /** Null: never. What came before it was there is none of its times. */
  until: Date | null
  /** What the task said when it was planned last; it held until now, whatever it says by now. */
  cron: string | null
  timezone: string | null
  isPaused: boolean
}

/** Tenants that have a schedule by the same cron text in the same time zone. */
interface Group {
  planned: Planned
  cron: string
  timezone: string
}

interface NewTick extends Group {
  nominalAt: Date
}

const keptDays = 7

/** False: another process is planning. */
export async function plan(now: Date, dependencies: PlanDependencies): Promise<boolean> {
  return await briefTransaction(dependencies.database, async () => {
    if (!(await tryLockPlanning(dependencies.database))) return false
    await planUntil(now, dependencies)
    return true
  })
}

/** In a transaction that has the lock. */
export async function planUntil(now: Date, dependencies: PlanDependencies): Promise<void> {
  const { database } = dependencies
  const all = await findPlanned(dependencies)
  const behind = all.filter(({ until }) => until === null || until < now)
  const groups = await findGroups(
    database,
    behind.filter(({ isPaused }) => !isPaused),
  )
  await makeTicks(database, findTicks(groups, now, dependencies), now)
  await noteProgress(database, behind, now)
  await forgetOldTicks(now, dependencies)
  await forgetPast(database, now)
}

/** Until the transaction ends; 007_schedules.sql takes it as well. */
const lock = 'cgk schedules'

export async function lockPlanning({ sql }: Database): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${lock}, 0))`
}

async function tryLockPlanning({ sql }: Database): Promise<boolean> {
  const { rows } = await sql<{ mine: boolean }>`
    SELECT pg_try_advisory_xact_lock(hashtextextended(${lock}, 0)) AS mine`
  return rows[0]!.mine
}

/** Every schedule that tasks of the registry declare, and every extra one that tenants have of those tasks. */
async function findPlanned({ database, registry }: PlanDependencies): Promise<Planned[]> {
  const declared = new Map(declaredSchedules(registry).map((schedule) => [scheduleId(schedule), schedule]))
  const { rows } = await database.sql<{ taskId: string; key: string } & Omit<Planned, 'schedule'>>`
    SELECT task_id AS "taskId", key, planned_until AS until, progress.cron, progress.timezone,
      paused_at IS NOT NULL AS "isPaused"
    FROM (
      SELECT * FROM unnest(
        ${[...declared.values()].map(({ taskId }) => taskId)}::text[],
        ${[...declared.values()].map(({ key }) => key)}::text[]
      ) AS declared (task_id, key)
      UNION
      SELECT task_id, key FROM public.platform_schedules
      WHERE extra AND task_id = ANY(${registry.list().map(({ id }) => id)}::text[])
    ) AS known
    LEFT JOIN public.platform_schedule_progress AS progress USING (task_id, key)`
  return rows.map(({ taskId, key, ...progress }) => ({
    schedule: declared.get(scheduleId({ taskId, key })) ?? extraSchedule(registry.get(taskId), key),
    ...progress,
  }))
}

/**
 * The time zones of tenants are found by skipping through the index organizations_timezone: one probe for each. Those
 * that tenants have left since the last planning were theirs for a part of that time. A tenant's row stands for itself,
 * by platform_schedules_task. A group that comes to have no member costs a row.
 */
async function findGroups({ sql }: Database, planned: readonly Planned[]): Promise<Group[]> {
  const { rows } = await sql<{ number: number; cron: string; timezone: string }>`
    WITH RECURSIVE zones AS (
      (SELECT timezone FROM public.organizations ORDER BY timezone LIMIT 1)
      UNION ALL
      SELECT (
        SELECT timezone FROM public.organizations
        WHERE timezone > zones.timezone ORDER BY timezone LIMIT 1
      )
      FROM zones WHERE timezone IS NOT NULL
    ), planned AS (
      SELECT * FROM unnest(
        ${planned.map(({ schedule }) => schedule.taskId)}::text[],
        ${planned.map(({ schedule }) => schedule.key)}::text[],
        ${planned.map(({ cron }) => cron)}::text[],
        ${planned.map(({ timezone }) => timezone)}::text[],
        ${planned.map(({ until }) => until)}::timestamptz[]
      ) WITH ORDINALITY AS planned (task_id, key, cron, timezone, until, number)
    )
    SELECT number::int, cron, coalesce(zones.timezone, planned.timezone) AS timezone
    FROM planned LEFT JOIN zones ON planned.timezone = 'tenant' AND zones.timezone IS NOT NULL
    WHERE cron IS NOT NULL AND (planned.timezone <> 'tenant' OR zones.timezone IS NOT NULL)
    UNION
    SELECT number::int, cron, past.timezone
    FROM planned JOIN public.platform_tenant_past AS past ON past.until > planned.until
    WHERE cron IS NOT NULL AND planned.timezone = 'tenant'
    UNION
    SELECT number::int, coalesce(own.cron, planned.cron), CASE coalesce(own.timezone, planned.timezone)
      WHEN 'tenant' THEN tenant.timezone ELSE coalesce(own.timezone, planned.timezone) END
    FROM planned JOIN public.platform_schedules AS own USING (task_id, key)
    CROSS JOIN LATERAL (
      SELECT timezone FROM public.organizations WHERE slug = own.tenant_id
      UNION
      SELECT past.timezone FROM public.platform_tenant_past AS past
      WHERE past.tenant_id = own.tenant_id AND past.until > planned.until
    ) AS tenant
    WHERE own.paused_at IS NULL AND coalesce(own.cron, planned.cron) IS NOT NULL`
  return rows.map(({ number, cron, timezone }) => ({ planned: planned[number - 1]!, cron, timezone }))
}

function findTicks(groups: readonly Group[], now: Date, { logger }: PlanDependencies): NewTick[] {
  return groups.flatMap((group) => {
    const { planned, cron, timezone } = group
    const schedule = scheduleId(planned.schedule)
    if (!isTimezone(timezone)) {
      logger.error({ schedule, timezone }, 'A tenant has a time zone that is none: its schedules stand still')
      return []
    }
    const { catchUp } = planned.schedule.rule
    const times = dueTimes({ cron, timezone, catchUp }, planned.until ?? now, now)
    return times.map((nominalAt) => ({ ...group, nominalAt }))
  })
}

async function makeTicks({ sql }: Database, ticks: readonly NewTick[], now: Date): Promise<void> {
  if (ticks.length === 0) return
  await sql`
    INSERT INTO public.platform_schedule_ticks
      (task_id, key, cron, timezone, nominal_at, declared_cron, declared_timezone, made_at, next_try_at)
    SELECT *, ${now}, ${now} FROM unnest(
      ${ticks.map(({ planned }) => planned.schedule.taskId)}::text[],
      ${ticks.map(({ planned }) => planned.schedule.key)}::text[],
      ${ticks.map(({ cron }) => cron)}::text[],
      ${ticks.map(({ timezone }) => timezone)}::text[],
      ${ticks.map(({ nominalAt }) => nominalAt)}::timestamptz[],
      ${ticks.map(({ planned }) => planned.cron)}::text[],
      ${ticks.map(({ planned }) => planned.timezone)}::text[]
    )
    ON CONFLICT DO NOTHING`
}

async function noteProgress({ sql }: Database, planned: readonly Planned[], now: Date): Promise<void> {
  await sql`
    INSERT INTO public.platform_schedule_progress AS known (task_id, key, cron, timezone, planned_until)
    SELECT *, ${now} FROM unnest(
      ${planned.map(({ schedule }) => schedule.taskId)}::text[],
      ${planned.map(({ schedule }) => schedule.key)}::text[],
      ${planned.map(({ schedule }) => schedule.rule.cron)}::text[],
      ${planned.map(({ schedule }) => schedule.rule.timezone)}::text[]
    )
    ON CONFLICT (task_id, key) DO UPDATE SET
      cron = excluded.cron, timezone = excluded.timezone, planned_until = excluded.planned_until`
}

/** One that is open is forgotten where it is of no schedule that is known, and nobody has tried to hand it out. */
async function forgetOldTicks(now: Date, { database: { sql }, registry }: PlanDependencies): Promise<void> {
  const old = sql`${now}::timestamptz - make_interval(days => ${keptDays})`
  await sql`
    DELETE FROM public.platform_schedule_ticks
    WHERE made_at < ${old} AND (finished_at IS NOT NULL OR (next_try_at < ${old} AND NOT ${isKnown(sql, registry)}))`
}

/** A tick that is open needs what was at its time. Index: platform_schedule_ticks_open. */
async function forgetPast({ sql }: Database, now: Date): Promise<void> {
  const needed = sql`least(${now}::timestamptz - make_interval(days => ${keptDays}),
    (SELECT min(nominal_at) FROM public.platform_schedule_ticks WHERE finished_at IS NULL))`
  await sql`DELETE FROM public.platform_tenant_past WHERE until < ${needed}`
  await sql`DELETE FROM public.platform_schedule_past WHERE until < ${needed}`
}
