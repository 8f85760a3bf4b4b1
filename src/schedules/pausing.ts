/** Pausing a schedule, for one tenant or for all. While it is paused its times pass, and none is made up for. */
import type { Database } from '../db/database.ts'
import { lockPlanning } from './plan.ts'
import type { ScheduleKey } from './schedule.ts'
import { briefTransaction } from './transaction.ts'

/** Who is planning has planned before, or sees it. What is being handed out ends with its batch. */
export async function pauseForAll(
  database: Database,
  { taskId, key }: ScheduleKey,
  now: Date,
): Promise<void> {
  const { sql } = database
  await briefTransaction(database, async () => {
    await lockPlanning(database, { wait: true })
    await sql`
      INSERT INTO public.platform_schedule_progress AS known (task_id, key, planned_until, paused_at)
      VALUES (${taskId}, ${key}, ${now}, ${now})
      ON CONFLICT (task_id, key) DO UPDATE SET paused_at = coalesce(known.paused_at, excluded.paused_at)`
    await sql`
      UPDATE public.platform_schedule_ticks SET finished_at = ${now}
      WHERE task_id = ${taskId} AND key = ${key} AND finished_at IS NULL`
  })
}

/** Nobody may have planned meanwhile, so it is planned until now: as paused. */
export async function resumeForAll(
  database: Database,
  { taskId, key }: ScheduleKey,
  now: Date,
): Promise<void> {
  const { sql } = database
  await briefTransaction(database, async () => {
    await lockPlanning(database, { wait: true })
    await sql`
      UPDATE public.platform_schedule_progress
      SET paused_at = NULL, planned_until = greatest(planned_until, ${now})
      WHERE task_id = ${taskId} AND key = ${key} AND paused_at IS NOT NULL`
  })
}

export async function pauseForTenant(
  { sql }: Database,
  tenantId: string,
  { taskId, key }: ScheduleKey,
  now: Date,
): Promise<void> {
  await sql`
    INSERT INTO public.platform_schedules AS own (tenant_id, task_id, key, extra, paused_at, changed_at)
    VALUES (${tenantId}, ${taskId}, ${key}, false, ${now}, ${now})
    ON CONFLICT (tenant_id, task_id, key) DO UPDATE SET paused_at = coalesce(own.paused_at, excluded.paused_at)`
}

export async function resumeForTenant(
  { sql }: Database,
  tenantId: string,
  { taskId, key }: ScheduleKey,
  now: Date,
): Promise<void> {
  await sql`
    UPDATE public.platform_schedules SET paused_at = NULL, changed_at = ${now}
    WHERE tenant_id = ${tenantId} AND task_id = ${taskId} AND key = ${key} AND paused_at IS NOT NULL`
}
