/** What a tenant had before a change, kept for ticks that had come before it and are not handed out yet. */
import type { Database } from '../db/database.ts'
import type { ScheduleKey } from './schedule.ts'

/**
 * Before every change of a row of platform_schedules, in its transaction. What held until then holds for all that is
 * planned, also where a clock that has gone back makes that the future. Of two changes at one moment, the first is
 * what was before.
 */
export async function notePast(
  { sql }: Database,
  tenantId: string,
  { taskId, key }: ScheduleKey,
  at: Date,
): Promise<void> {
  await sql`
    INSERT INTO public.platform_schedule_past
      (tenant_id, task_id, key, until, cron, timezone, payload, paused_at)
    SELECT tenant_id, task_id, key, greatest(${at}, planned_until), own.cron, own.timezone, payload, own.paused_at
    FROM (SELECT ${tenantId}::text AS tenant_id, ${taskId}::text AS task_id, ${key}::text AS key) AS changed
    LEFT JOIN public.platform_schedules AS own USING (tenant_id, task_id, key)
    LEFT JOIN public.platform_schedule_progress USING (task_id, key)
    ON CONFLICT DO NOTHING`
}
