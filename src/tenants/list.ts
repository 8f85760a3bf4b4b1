import type { Tenant, TenantDeps } from './tenant.ts'
import { tenantColumns } from './tenant.ts'

/** All tenants, by slug. */
export async function listTenants(deps: Pick<TenantDeps, 'database'>): Promise<Tenant[]> {
  const { rows } = await deps.database.query<Tenant>(
    `SELECT ${tenantColumns} FROM public.organizations ORDER BY slug`,
  )
  return rows
}
