/** Whose things a list is of: those of the tenant that was named, or of all that whoever asks may see. */
import type { Permission } from '../../auth/index.ts'
import { problem } from '../problem.ts'
import { type ApiContext, permittedTenants } from './env.ts'

/** One by one; null: all at once. None where the tenant that was named is another's. @throws ForbiddenError. */
export function tenantsAsked(
  context: ApiContext,
  permission: Permission,
  named: string | undefined,
): readonly (string | null)[] {
  const within = permittedTenants(context, permission)
  if (within === null) return [named ?? null]
  return named === undefined ? within : within.filter((tenantId) => tenantId === named)
}

/**
 * For what is listed in the order of one tenant's, or of all; undefined: of nobody's. Who is in several tenants and names
 * none means the one they have chosen.
 */
export function tenantAsked(
  context: ApiContext,
  permission: Permission,
  named: string | undefined,
): string | null | undefined {
  const asked = tenantsAsked(context, permission, named)
  if (asked.length <= 1) return asked[0]
  const { tenantId } = context.get('principal')
  if (tenantId !== null && asked.includes(tenantId)) return tenantId
  throw problem({
    status: 400,
    code: 'TENANT_NOT_CHOSEN',
    detail: 'You may see several tenants: name the one that is meant, as in ?tenant=rawdog.',
  })
}
