/** The tenant that a path names. One that whoever asks has no part in does not exist for them, whether it does or not. */
import type { Permission, Principal } from '../../auth/index.ts'
import { UnknownTenantError } from '../../errors.ts'
import type { Tenant } from '../../tenants/tenant.ts'
import { type ApiContext, permit } from './env.ts'

/** @throws UnknownTenantError; ForbiddenError for whoever belongs to the tenant and may not do this. */
export async function openTenant(
  context: ApiContext,
  tenantId: string,
  permission: Permission,
): Promise<Tenant> {
  if (!hasPartIn(context.get('principal'), tenantId)) throw new UnknownTenantError(tenantId)
  permit(context, permission, tenantId)
  const { directory } = await context.get('platform').ready()
  const tenant = await directory.find(tenantId)
  if (!tenant) throw new UnknownTenantError(tenantId)
  return tenant
}

function hasPartIn(principal: Principal, tenantId: string): boolean {
  if (principal.kind === 'key') return principal.tenantId === null || principal.tenantId === tenantId
  return principal.operator || principal.memberships.has(tenantId)
}
