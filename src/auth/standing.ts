/** What somebody may, as it is stored. */
import type pg from 'pg'
import { isPermission, type Permission, type TenantRole } from './permissions.ts'
import type { Membership, UserStanding } from './principal.ts'

/** Of `user_organizations AS member` and its organizations: a membership, as `readMemberships` takes it. */
export const membershipJson = `jsonb_build_object(
  'tenantId', slug, 'role', role, 'permissions', member.permissions, 'withheld', member.withheld)`

export interface StoredMembership {
  tenantId: string
  role: TenantRole
  permissions: string[]
  withheld: string[]
}

export function readMemberships(stored: readonly StoredMembership[]): Map<string, Membership> {
  return new Map(
    stored.map(({ tenantId, role, permissions, withheld }) => [
      tenantId,
      { role, permissions: known(permissions), withheld: known(withheld) },
    ]),
  )
}

/** A later version may have stored permissions that this one does not know. */
export function known(stored: readonly string[]): Permission[] {
  return stored.filter(isPermission)
}

export interface Standing extends UserStanding {
  readonly isActive: boolean
}

interface StandingRow {
  operator: boolean
  isActive: boolean
  permissions: string[]
  memberships: StoredMembership[]
}

/** Of somebody else than whoever asks. Null: there is no such user. Indexes: primary keys. */
export async function readStanding(client: pg.PoolClient, userId: string): Promise<Standing | null> {
  const { rows } = await client.query<StandingRow>(
    `SELECT is_operator AS operator, status = 'active' AS "isActive", permissions, (
       SELECT coalesce(jsonb_agg(${membershipJson}), '[]')
       FROM public.user_organizations AS member JOIN public.organizations ON organizations.id = organization_id
       WHERE member.user_id = users.id
     ) AS memberships
     FROM public.users WHERE id = $1`,
    [userId],
  )
  const [row] = rows
  if (!row) return null
  const { operator, isActive, permissions, memberships } = row
  return {
    kind: 'user',
    operator,
    isActive,
    permissions: known(permissions),
    memberships: readMemberships(memberships),
  }
}
