/**
 * What code inside a tenant's context may ask of the platform: what is its tenant's. The platform's own tables hold
 * everybody's rows, so whoever reads or writes them for a caller asks here first.
 */
import { liveScope } from '../db/scope.ts'
import { InsideTenantError, TenantMismatchError } from '../errors.ts'

/** The tenant of the surrounding `withTenant`; null: none. @throws ContextEndedError where that has ended already. */
export function surroundingTenant(what: string): string | null {
  return liveScope(what)?.tenant?.slug ?? null
}

/** A filter, for that tenant alone where there is one. `what` is many, as in "Runs". @throws TenantMismatchError. */
export function withinTenant<Filter extends { tenantId?: string }>(
  filter: Filter,
  surrounding: string | null,
  what: string,
): Filter {
  if (surrounding === null) return filter
  const { tenantId = surrounding } = filter
  if (tenantId !== surrounding) throw new TenantMismatchError(surrounding, tenantId, what)
  return { ...filter, tenantId }
}

/** Before something is done for a tenant, or for all (undefined). @throws TenantMismatchError, InsideTenantError. */
export function refuseOtherTenants(tenantId: string | undefined, call: string, what: string): void {
  const surrounding = surroundingTenant(call)
  if (surrounding === null || tenantId === surrounding) return
  if (tenantId === undefined) throw new InsideTenantError(`${call} for all tenants`, surrounding)
  throw new TenantMismatchError(surrounding, tenantId, what)
}

/** Before what is no tenant's at all. @throws InsideTenantError. */
export function refuseInsideTenant(call: string): void {
  const surrounding = surroundingTenant(call)
  if (surrounding !== null) throw new InsideTenantError(call, surrounding)
}
