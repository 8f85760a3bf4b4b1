/** Looking at holds. */
import type { Database } from '../db/database.ts'
import { endsInMs, type Hold, holdColumns, isActive } from './hold.ts'

export interface ActiveHold {
  /** Milliseconds until it ends by itself: clocks differ, how long it takes does not. Null: it does not. */
  endsInMs: number | null
}

/** The hold that stands now, if any. Index: the primary key. */
export async function readActiveHold(
  database: Database,
  tenantId: string,
  service: string,
): Promise<ActiveHold | null> {
  const { rows } = await database.query<ActiveHold>(
    `SELECT ${endsInMs} AS "endsInMs" FROM public.platform_holds
     WHERE tenant_id = $1 AND service = $2 AND ${isActive}`,
    [tenantId, service],
  )
  return rows[0] ?? null
}

/** All holds, or those of one tenant, the oldest first; with those that are over but still let runs go. */
export async function listHolds(database: Database, tenantId: string | null = null): Promise<Hold[]> {
  const { rows } = await database.query<Hold>(
    `SELECT ${holdColumns} FROM public.platform_holds
     WHERE $1::text IS NULL OR tenant_id = $1 ORDER BY placed_at, tenant_id, service`,
    [tenantId],
  )
  return rows
}

export interface HoldPageOptions {
  /** Null: of all tenants. */
  tenantIds: readonly string[] | null
  limit: number
  /** The hold that the page before ends with. */
  after: { tenantId: string; service: string } | null
}

/** By tenant and service. Index: the primary key. */
export async function listHoldPage(
  database: Database,
  { tenantIds, limit, after }: HoldPageOptions,
): Promise<Hold[]> {
  const { rows } = await database.query<Hold>(
    `SELECT ${holdColumns} FROM public.platform_holds
     WHERE ($1::text[] IS NULL OR tenant_id = ANY($1)) AND ($2::text IS NULL OR (tenant_id, service) > ($2, $3))
     ORDER BY tenant_id, service LIMIT $4`,
    [tenantIds, after?.tenantId ?? null, after?.service ?? null, limit],
  )
  return rows
}
