/**
 * Who may do what: one table, and the questions that are asked of it. Pure, so that every cell of it is tested.
 *
 * A tenant's people and keys may at most what is done within a tenant. `payload:read` opens the fields that a schema
 * marks as pii or secret; an operator does not have it by being one, for watching runs does not need it.
 */
import { ForbiddenError } from '../errors.ts'
import type { KeyPrincipal, Principal, UserStanding } from './principal.ts'

export const permissions = [
  /** Runs, failures, schedules, holds and health. */
  'runs:read',
  'runs:trigger',
  'runs:replay',
  'runs:cancel',
  'failures:write',
  /** When what is declared runs; an extra schedule or another payload needs runs:trigger as well. */
  'schedules:write',
  /** Which credentials there are; never their values. */
  'credentials:read',
  'credentials:write',
  'payload:read',
  /** Members, invitations and API keys. */
  'people:write',
  'audit:read',
  /** Of all tenants at once. */
  'metrics:read',
  'tenants:write',
] as const

export type Permission = (typeof permissions)[number]

const onlyPlatformWide: readonly Permission[] = ['metrics:read', 'tenants:write']

/** What can be permitted within one tenant. */
export const tenantPermissions: readonly Permission[] = permissions.filter(
  (one) => !onlyPlatformWide.includes(one),
)

/** A key cannot make keys or let people in: whoever finds one has it for no longer than it is valid. */
export const keyScopes: readonly Permission[] = permissions.filter((one) => one !== 'people:write')

/** Of a tenant, from the lowest to the highest. */
export const tenantRoles = ['member', 'admin', 'owner'] as const

export type TenantRole = (typeof tenantRoles)[number]

export const rolePermissions: Readonly<Record<TenantRole | 'operator', readonly Permission[]>> = {
  operator: permissions.filter((one) => one !== 'payload:read'),
  owner: tenantPermissions,
  admin: tenantPermissions.filter((one) => one !== 'payload:read'),
  member: ['runs:read', 'runs:trigger', 'credentials:read'],
}

/** `tenantId` null: platform-wide, which is to say for every tenant. */
export function can(
  principal: UserStanding | KeyPrincipal,
  permission: Permission,
  tenantId: string | null,
): boolean {
  if (principal.kind === 'key') {
    if (!keyScopes.includes(permission) || !principal.scopes.includes(permission)) return false
    return principal.tenantId === null || isWithin(principal.tenantId, permission, tenantId)
  }
  if (principal.operator && isGranted('operator', principal.permissions, permission)) return true
  const membership = tenantId === null ? undefined : principal.memberships.get(tenantId)
  if (!membership || !tenantPermissions.includes(permission)) return false
  return isGranted(membership.role, membership.permissions, permission)
}

/** @throws ForbiddenError unless the principal can. */
export function requirePermission(
  principal: Principal,
  permission: Permission,
  tenantId: string | null,
): void {
  if (!can(principal, permission, tenantId)) throw new ForbiddenError(permission)
}

/** Where the principal can, for lists: every tenant, or these. */
export function tenantsWhere(principal: Principal, permission: Permission): 'all' | string[] {
  if (can(principal, permission, null)) return 'all'
  return ownTenants(principal).filter((tenantId) => can(principal, permission, tenantId))
}

function ownTenants(principal: Principal): string[] {
  if (principal.kind === 'user') return [...principal.memberships.keys()]
  return principal.tenantId === null ? [] : [principal.tenantId]
}

export interface Grant {
  role?: TenantRole
  permissions?: readonly Permission[]
}

/** Nobody gives, takes or changes what is above them: no higher role, and no permission they lack. @throws ForbiddenError. */
export function requireGrant(by: UserStanding, grant: Grant, tenantId: string | null): void {
  const permission = lacking(by, grant, tenantId)
  if (permission !== null) throw new ForbiddenError(permission)
}

/** What they would need to give it; null: nothing more. */
export function lacking(
  by: UserStanding,
  { role, permissions = [] }: Grant,
  tenantId: string | null,
): Permission | null {
  const needed: Permission[] = ['people:write', ...permissions]
  const missing = needed.find((permission) => !can(by, permission, tenantId))
  if (missing !== undefined) return missing
  if (role === undefined || by.operator) return null
  const own = tenantId === null ? undefined : by.memberships.get(tenantId)?.role
  return own !== undefined && rank(role) <= rank(own) ? null : 'people:write'
}

export function isPermission(text: string): text is Permission {
  return (permissions as readonly string[]).includes(text)
}

function isWithin(own: string, permission: Permission, tenantId: string | null): boolean {
  return tenantId === own && tenantPermissions.includes(permission)
}

function isGranted(
  role: TenantRole | 'operator',
  extra: readonly Permission[],
  permission: Permission,
): boolean {
  return rolePermissions[role].includes(permission) || extra.includes(permission)
}

function rank(role: TenantRole): number {
  return tenantRoles.indexOf(role)
}
