/** Who belongs to which tenant, and as what. */
import type pg from 'pg'
import { platformTransaction } from '../db/platform-transaction.ts'
import {
  AddressUnconfirmedError,
  ForbiddenError,
  InvalidGrantError,
  LastOwnerError,
  UnknownTenantError,
  UnknownUserError,
} from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'
import type { TenantStatus } from '../tenants/tenant.ts'
import type { AuthDeps } from './deps.ts'
import { isId } from './id.ts'
import {
  isMembers,
  type Permission,
  requireGrant,
  requirePermission,
  type TenantRole,
  tenantPermissions,
  tenantRoles,
  withheldBy,
} from './permissions.ts'
import type { Actor, Membership, UserStanding } from './principal.ts'

export interface NewMembership {
  tenantId: string
  role: TenantRole
  /** Beyond the role, such as `payload:read`. */
  permissions?: readonly Permission[]
}

export interface UserTenant {
  tenantId: string
  name: string
  status: TenantStatus
  role: TenantRole
  permissions: Permission[]
  /** Of the role, what the user does not have there. */
  withheld: Permission[]
}

/** The tenants that the user belongs to, by slug. An operator reaches the others as well; `listTenants` has them. */
export async function getUserTenants(auth: AuthDeps, userId: string): Promise<UserTenant[]> {
  if (!isId(userId)) return []
  const { rows } = await auth.database.query<UserTenant>(
    `SELECT slug AS "tenantId", organizations.name, organizations.status, role, member.permissions,
       member.withheld
     FROM public.user_organizations AS member
     JOIN public.organizations ON organizations.id = organization_id
     JOIN public.users ON users.id = user_id AND users.status = 'active'
     WHERE user_id = $1 ORDER BY slug`,
    [userId],
  )
  return rows
}

export interface TenantAccess {
  role: TenantRole | 'operator'
  /** Beyond the role. */
  permissions: Permission[]
  /** Of the role, what the user does not have. */
  withheld: Permission[]
}

/** What the user is in this tenant. @throws ForbiddenError where nothing, or where there is no such tenant. */
export async function validateTenantAccess(
  auth: AuthDeps,
  userId: string,
  tenantId: string,
): Promise<TenantAccess> {
  const slug = parseSlug(tenantId)
  if (!isId(userId)) throw new ForbiddenError()
  const { rows } = await auth.database.query<TenantAccess>(
    `SELECT coalesce(role, 'operator') AS role, coalesce(member.permissions, users.permissions) AS permissions,
       coalesce(member.withheld, '{}') AS withheld
     FROM public.users JOIN public.organizations ON slug = $2
     LEFT JOIN public.user_organizations AS member ON user_id = users.id AND organization_id = organizations.id
     WHERE users.id = $1 AND users.status = 'active' AND (is_operator OR role IS NOT NULL)`,
    [userId, slug],
  )
  const [access] = rows
  if (!access) throw new ForbiddenError()
  return access
}

/**
 * Somebody who has an account becomes one of the tenant's people. Only for operators: a tenant's own people invite.
 *
 * @throws ForbiddenError, InvalidGrantError, UnknownTenantError, UnknownUserError, AddressUnconfirmedError.
 */
export async function addMember(
  auth: AuthDeps,
  userId: string,
  membership: NewMembership,
  by: Actor,
): Promise<void> {
  const { tenantId, role, permissions } = parseGrant(membership)
  if (by) requirePermission(by, 'people:write', null)
  if (by) requireGrant(by, { role, permissions }, tenantId)
  await inOrganization(auth, tenantId, async (client, organizationId) => {
    if (await readMember(client, organizationId, userId)) {
      throw new InvalidGrantError('This user belongs to the tenant already. Change the role instead.')
    }
    const { rowCount } = await client.query('SELECT FROM public.users WHERE id = $1 FOR KEY SHARE', [userId])
    if (rowCount === 0) throw new UnknownUserError()
    await insertMember(client, userId, { tenantId, role, permissions }, by)
  })
}

/** @throws ForbiddenError, InvalidGrantError, UnknownUserError, LastOwnerError. */
export async function changeMember(
  auth: AuthDeps,
  userId: string,
  membership: NewMembership,
  by: Actor,
): Promise<void> {
  const { tenantId, role, permissions } = parseGrant(membership)
  if (by) requireGrant(by, { role }, tenantId)
  await inOrganization(auth, tenantId, async (client, organizationId) => {
    const member = await readMember(client, organizationId, userId)
    if (!member) throw new UnknownUserError()
    const added = permissions.filter((one) => !member.permissions.includes(one))
    if (by) requireGrant(by, { role: member.role, permissions: added }, tenantId)
    if (role !== 'owner') await refuseLastOwner(client, organizationId, userId, tenantId)
    // What they have they keep, whoever changes it.
    const withheld = withheldBy(by, role, tenantId).filter((one) => !isMembers(member, one))
    await client.query(
      `UPDATE public.user_organizations SET role = $3, permissions = $4, withheld = $5
       WHERE organization_id = $1 AND user_id = $2`,
      [organizationId, userId, role, permissions, withheld],
    )
  })
}

/** Oneself, or those who are not above. @throws ForbiddenError, UnknownUserError, LastOwnerError. */
export async function removeMember(
  auth: AuthDeps,
  userId: string,
  tenantId: string,
  by: Actor,
): Promise<void> {
  const leaves = by?.id === userId && by.memberships.has(tenantId)
  if (by && !leaves) requirePermission(by, 'people:write', tenantId)
  await inOrganization(auth, parseSlug(tenantId), async (client, organizationId) => {
    const member = await readMember(client, organizationId, userId)
    if (!member) throw new UnknownUserError()
    if (by && !leaves) requireGrant(by, { role: member.role }, tenantId)
    await refuseLastOwner(client, organizationId, userId, tenantId)
    await client.query('DELETE FROM public.user_organizations WHERE organization_id = $1 AND user_id = $2', [
      organizationId,
      userId,
    ])
  })
}

/** @throws InvalidTenantSlugError, InvalidGrantError. */
export function parseGrant({ tenantId, role, permissions = [] }: NewMembership): Required<NewMembership> {
  if (!tenantRoles.includes(role)) throw new InvalidGrantError(`A role is one of ${tenantRoles.join(', ')}.`)
  if (!permissions.every((one) => tenantPermissions.includes(one))) {
    throw new InvalidGrantError(`Within a tenant there are the permissions ${tenantPermissions.join(', ')}.`)
  }
  return { tenantId: parseSlug(tenantId), role, permissions }
}

/**
 * Whoever belongs to it already stays what they are. `by`: who gives it. False: there is no such tenant.
 *
 * @throws AddressUnconfirmedError for an account of another tenant (invitations.ts).
 */
export async function insertMember(
  client: pg.PoolClient,
  userId: string,
  { tenantId, role, permissions = [] }: NewMembership,
  by: UserStanding | null,
): Promise<boolean> {
  const ofAnother = await client.query(
    `SELECT FROM public.users JOIN public.organizations ON organizations.id = invited_into
     WHERE users.id = $1 AND slug <> $2`,
    [userId, tenantId],
  )
  if (ofAnother.rowCount !== 0) throw new AddressUnconfirmedError()
  const { rowCount } = await client.query(
    `WITH organization AS (SELECT id FROM public.organizations WHERE slug = $2), added AS (
       INSERT INTO public.user_organizations (user_id, organization_id, role, permissions, withheld)
       SELECT $1, id, $3, $4, $5 FROM organization ON CONFLICT DO NOTHING
     )
     SELECT FROM organization`,
    [userId, tenantId, role, permissions, withheldBy(by, role, tenantId)],
  )
  return rowCount === 1
}

/**
 * The row of the organization first, so changes of its people come one after the other: of two owners who leave at
 * once, the second finds that there is no other.
 */
export async function inOrganization<T>(
  auth: AuthDeps,
  tenantId: string,
  change: (client: pg.PoolClient, organizationId: string) => Promise<T>,
): Promise<T> {
  return await platformTransaction(auth.database, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      'SELECT id FROM public.organizations WHERE slug = $1 FOR NO KEY UPDATE',
      [tenantId],
    )
    const [organization] = rows
    if (!organization) throw new UnknownTenantError(tenantId)
    return await change(client, organization.id)
  })
}

async function readMember(
  client: pg.PoolClient,
  organizationId: string,
  userId: string,
): Promise<Membership | null> {
  if (!isId(userId)) throw new UnknownUserError()
  const { rows } = await client.query<Membership>(
    'SELECT role, permissions, withheld FROM public.user_organizations WHERE organization_id = $1 AND user_id = $2',
    [organizationId, userId],
  )
  return rows[0] ?? null
}

/** An owner who is disabled can do nothing for the tenant. Index: user_organizations_organization_id_idx. */
async function refuseLastOwner(
  client: pg.PoolClient,
  organizationId: string,
  userId: string,
  tenantId: string,
): Promise<void> {
  const { rows } = await client.query<{ isLast: boolean }>(
    `SELECT bool_or(user_id = $2) AND NOT bool_or(user_id <> $2 AND status = 'active') AS "isLast"
     FROM public.user_organizations JOIN public.users ON users.id = user_id
     WHERE organization_id = $1 AND role = 'owner'`,
    [organizationId, userId],
  )
  if (rows[0]?.isLast) throw new LastOwnerError(tenantId)
}
