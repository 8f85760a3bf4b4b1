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
 * The next tenants in the order of their slugs that were active at the nominal time and had the schedule like this then,
 * whatever has become of them since: however late a tick is handed out, and however often, it is for the same tenants.
 * Who has been suspended since has the run wait. Index: the unique one on slug, platform_schedules_task, and those of
 * platform_tenant_past and platform_schedule_past by `until`, behind which there is next to nothing.
 */
export async function findMembers(
  { sql }: Database,
  { taskId, key, rule }: Schedule,
  tick: Tick,
  page: { after: string; limit: number },
): Promise<Member[]> {
  const { rows } = await sql<Member>`
    WITH past AS (
      SELECT DISTINCT ON (tenant_id) * FROM public.platform_tenant_past
      WHERE until >= ${tick.nominalAt} ORDER BY tenant_id, until
    ), own AS (
      SELECT DISTINCT ON (tenant_id) * FROM (
        SELECT tenant_id, until, cron, timezone, payload, paused_at FROM public.platform_schedule_past
        WHERE task_id = ${taskId} AND key = ${key} AND until >= ${tick.nominalAt}
        UNION ALL
        SELECT tenant_id, 'infinity', cron, timezone, payload, paused_at FROM public.platform_schedules
        WHERE task_id = ${taskId} AND key = ${key}
      ) AS told
      WHERE tenant_id > ${page.after} ORDER BY tenant_id, until
    )
    SELECT slug AS "tenantId", own.payload
    FROM public.organizations AS tenant
    LEFT JOIN past ON past.tenant_id = slug
    LEFT JOIN own ON own.tenant_id = slug
    WHERE slug > ${page.after}
      AND CASE WHEN past.tenant_id IS NULL THEN status = 'active' AND tenant.active_since <= ${tick.nominalAt}
        ELSE past.active_since <= ${tick.nominalAt} END
      AND (${rule.onlyTenant}::text IS NULL OR slug = ${rule.onlyTenant})
      AND own.paused_at IS NULL
      AND coalesce(own.cron, ${tick.declaredCron}) = ${tick.cron}
      AND CASE coalesce(own.timezone, ${tick.declaredTimezone})
        WHEN 'tenant' THEN coalesce(past.timezone, tenant.timezone)
        ELSE coalesce(own.timezone, ${tick.declaredTimezone}) END = ${tick.timezone}
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
