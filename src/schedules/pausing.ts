/**
 * Pausing a schedule, for one tenant or for all. While it is paused its times pass, and none is made up for; what had
 * come before is handed out. Each is called by `Ticker.change`, which has planned until then.
 */
import type { Database } from '../db/database.ts'
import { notePast } from './past.ts'
import type { ScheduleKey } from './schedule.ts'

export async function pauseForAll({ sql }: Database, { taskId, key }: ScheduleKey, at: Date): Promise<void> {
  await sql`
    UPDATE public.platform_schedule_progress SET paused_at = coalesce(paused_at, ${at})
    WHERE task_id = ${taskId} AND key = ${key}`
}

export async function resumeForAll({ sql }: Database, { taskId, key }: ScheduleKey): Promise<void> {
  await sql`
    UPDATE public.platform_schedule_progress SET paused_at = NULL
    WHERE task_id = ${taskId} AND key = ${key}`
}

export async function pauseForTenant(
  database: Database,
  tenantId: string,
  schedule: ScheduleKey,
  at: Date,
): Promise<void> {
  const { taskId, key } = schedule
  await notePast(database, tenantId, schedule, at)
  await database.sql`
    INSERT INTO public.platform_schedules AS own (tenant_id, task_id, key, extra, paused_at)
    VALUES (${tenantId}, ${taskId}, ${key}, false, ${at})
    ON CONFLICT (tenant_id, task_id, key) DO UPDATE SET paused_at = coalesce(own.paused_at, excluded.paused_at)`
}

export async function resumeForTenant(
  database: Database,
  tenantId: string,
  schedule: ScheduleKey,
  at: Date,
): Promise<void> {
  const { taskId, key } = schedule
  await notePast(database, tenantId, schedule, at)
  await database.sql`
    UPDATE public.platform_schedules SET paused_at = NULL
    WHERE tenant_id = ${tenantId} AND task_id = ${taskId} AND key = ${key}`
}
