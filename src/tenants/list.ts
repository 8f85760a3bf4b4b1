/** Which tenants there are. */
import type { Tenant, TenantDeps } from './tenant.ts'
import { tenantColumns } from './tenant.ts'

/** All tenants, by slug. */
export async function listTenants(deps: Pick<TenantDeps, 'database'>): Promise<Tenant[]> {
  const { rows } = await deps.database.query<Tenant>(
    `SELECT ${tenantColumns} FROM public.organizations ORDER BY slug`,
  )
  return rows
}

export interface TenantPageOptions {
  /** Null: any. */
  tenantIds: readonly string[] | null
  limit: number
  /** The slug that the page before ends with. */
  after?: string | undefined
}

/** By slug, some of them. Index: the unique one on slug. */
export async function listTenantPage(
  { database }: Pick<TenantDeps, 'database'>,
  { tenantIds, limit, after }: TenantPageOptions,
): Promise<Tenant[]> {
  const { rows } = await database.query<Tenant>(
    `SELECT ${tenantColumns} FROM public.organizations
     WHERE ($1::text[] IS NULL OR slug = ANY($1)) AND ($2::text IS NULL OR slug > $2)
     ORDER BY slug LIMIT $3`,
    [tenantIds, after ?? null, limit],
  )
  return rows
}
