/** Who has a run at a tick. */
import type { Database } from '../db/database.ts'
import type { Member } from './request.ts'
import type { Schedule } from './schedule.ts'

export interface Tick {
  cron: string
  timezone: string
  nominalAt: Date
  declaredCron: string | null
  declaredTimezone: string | null
}

/**
 * The next tenants in the order of their slugs. Only who has been active, and has had the schedule like this, since
 * before the nominal time: nobody gets ticks of a time before. Index: the unique one on slug, and the primary key of
 * platform_schedules.
 */
export async function findMembers(
  { sql }: Database,
  { taskId, key, rule }: Schedule,
  tick: Tick,
  page: { after: string; limit: number },
): Promise<Member[]> {
  const { rows } = await sql<Member>`
    SELECT slug AS "tenantId", own.payload
    FROM public.organizations AS tenant LEFT JOIN public.platform_schedules AS own
      ON own.tenant_id = slug AND own.task_id = ${taskId} AND own.key = ${key}
    WHERE slug > ${page.after} AND status = 'active' AND active_since <= ${tick.nominalAt}
      AND (${rule.onlyTenant}::text IS NULL OR slug = ${rule.onlyTenant})
      AND (own.tenant_id IS NULL OR (own.paused_at IS NULL AND own.changed_at <= ${tick.nominalAt}))
      AND coalesce(own.cron, ${tick.declaredCron}) = ${tick.cron}
      AND CASE coalesce(own.timezone, ${tick.declaredTimezone})
        WHEN 'tenant' THEN tenant.timezone ELSE coalesce(own.timezone, ${tick.declaredTimezone}) END = ${tick.timezone}
    ORDER BY slug LIMIT ${page.limit}`
  return rows
}

/** Every active tenant that could have a run of this schedule, by whatever cron text, paused or not. */
export async function findAllMembers(
  { sql }: Database,
  { taskId, key, rule }: Schedule,
  page: { after: string; limit: number; tenantId: string | null },
): Promise<Member[]> {
  const isDeclared = rule.cron !== null
  const { rows } = await sql<Member>`
    SELECT slug AS "tenantId", own.payload
    FROM public.organizations AS tenant LEFT JOIN public.platform_schedules AS own
      ON own.tenant_id = slug AND own.task_id = ${taskId} AND own.key = ${key}
    WHERE slug > ${page.after} AND status = 'active'
      AND (${rule.onlyTenant}::text IS NULL OR slug = ${rule.onlyTenant})
      AND (${page.tenantId}::text IS NULL OR slug = ${page.tenantId})
      AND (${isDeclared} OR own.extra)
    ORDER BY slug LIMIT ${page.limit}`
  return rows
}
