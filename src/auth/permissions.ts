/**
 * Who may do what: one table, and the questions that are asked of it. Pure, so that every cell of it is tested.
 *
 * A tenant's people and keys may at most what is done within a tenant. `payload:read` opens the fields that a schema
 * marks as pii or secret; an operator does not have it by being one, for watching runs does not need it.
 *
 * Nobody gives away what they do not have, by whatever way: a membership, an invitation, a key, an account, a password.
 * An operator may let people in everywhere, so of a role they give, what they lack themselves is withheld: the owner
 * that an operator invites into a new tenant does everything there but `payload:read`, until somebody who has that gives
 * it. So it is no way around anything to make oneself an owner, nor to be the one who is invited. Whoever has the
 * database in hand, as the command line does, is the platform itself and gives all.
 */
import { ForbiddenError } from '../errors.ts'
import type { KeyPrincipal, Membership, Principal, UserStanding } from './principal.ts'

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
  if (principal.operator && isOperators(principal, permission)) return true
  const membership = tenantId === null ? undefined : principal.memberships.get(tenantId)
  return membership !== undefined && isMembers(membership, permission)
}

/** May they, by what they are in the tenant? */
export function isMembers({ role, permissions, withheld }: Membership, permission: Permission): boolean {
  if (!tenantPermissions.includes(permission)) return false
  const isOfRole = rolePermissions[role].includes(permission) && !withheld.includes(permission)
  return isOfRole || permissions.includes(permission)
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

/** Of the role, what whoever gives it has not themselves. */
export function withheldBy(by: UserStanding | null, role: TenantRole, tenantId: string): Permission[] {
  return by === null ? [] : rolePermissions[role].filter((one) => !can(by, one, tenantId))
}

/** What somebody else may that `by` may not, so that `by` must not be able to sign in as them. Null: nothing. */
export function beyond(by: UserStanding, other: UserStanding): Permission | null {
  for (const tenantId of [null, ...other.memberships.keys()]) {
    const more = permissions.find((one) => can(other, one, tenantId) && !can(by, one, tenantId))
    if (more !== undefined) return more
  }
  return null
}

export function isPermission(text: string): text is Permission {
  return (permissions as readonly string[]).includes(text)
}

function isWithin(own: string, permission: Permission, tenantId: string | null): boolean {
  return tenantId === own && tenantPermissions.includes(permission)
}

function isOperators({ permissions }: UserStanding, permission: Permission): boolean {
  return rolePermissions.operator.includes(permission) || permissions.includes(permission)
}

function rank(role: TenantRole): number {
  return tenantRoles.indexOf(role)
}
