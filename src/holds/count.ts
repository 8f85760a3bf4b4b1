/** How many holds stand, by service and tenant, for the figures. */
import type { Database } from '../db/database.ts'
import type { HoldCount } from '../telemetry/queue-gauges.ts'
import { namedTenants, otherTenants } from '../telemetry/tenant-label.ts'
import { isActive } from './hold.ts'

/** One row for each tenant and service that is held; they are counted together where a tenant has no name of its own. */
const countSql = `
  SELECT service, CASE WHEN tenant_id = ANY($1::text[]) THEN tenant_id ELSE $2 END AS tenant, count(*)::int AS holds
  FROM public.platform_holds WHERE ${isActive} GROUP BY 1, 2`

export async function countHolds(database: Database): Promise<HoldCount[]> {
  return (await database.query<HoldCount>(countSql, [namedTenants(), otherTenants])).rows
}
