/** The accounts of people: made, listed, disabled, and given passwords. All of it is an operator's, but one's own password. */
import type pg from 'pg'
import { platformTransaction } from '../db/platform-transaction.ts'
import {
  ForbiddenError,
  InvalidGrantError,
  LoginRefusedError,
  UnknownTenantError,
  UnknownUserError,
  UserExistsError,
} from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'
import { normalizePassword, parseEmail, parseName, parsePassword } from './account-text.ts'
import type { AuthDeps } from './deps.ts'
import { isId } from './id.ts'
import { forgiveLoginTries, spendLoginTry } from './login-limits.ts'
import { insertMember, type NewMembership, parseGrant } from './memberships.ts'
import type { PageOptions } from './page.ts'
import {
  beyond,
  isPermission,
  type Permission,
  requireGrant,
  requirePermission,
  type TenantRole,
} from './permissions.ts'
import type { Actor, UserPrincipal } from './principal.ts'
import { revokeAllSql } from './sessions.ts'
import { membershipJson, readStanding } from './standing.ts'

export interface NewUser {
  email: string
  name?: string | undefined
  password: string
  operator?: boolean
  /** Of an operator, beyond the role, such as `payload:read`. */
  permissions?: readonly Permission[]
  /** The tenant that the user belongs to from the start. */
  membership?: NewMembership | undefined
}

export interface User {
  id: string
  email: string
  name: string | null
  status: 'active' | 'invited' | 'disabled'
  /** False: made with an invitation of a tenant, and one of its people alone (invitations.ts). */
  addressConfirmed: boolean
  operator: boolean
  permissions: Permission[]
  /** Of a tenant's people: in that tenant alone. */
  memberships: { tenantId: string; role: TenantRole; permissions: Permission[]; withheld: Permission[] }[]
  lastLoginAt: Date | null
  createdAt: Date
}

/**
 * Answers the id.
 *
 * @throws InvalidAccountError, InvalidPasswordError, InvalidGrantError, ForbiddenError, UserExistsError,
 * UnknownTenantError.
 */
export async function createUser(auth: AuthDeps, user: NewUser, by: Actor): Promise<string> {
  const { operator = false, permissions = [] } = user
  const email = parseEmail(user.email)
  const name = user.name === undefined ? null : parseName(user.name)
  const membership = user.membership && parseGrant(user.membership)
  if (by) requireGrant(by, { permissions }, null)
  if (by && membership) requireGrant(by, membership, membership.tenantId)
  if (!permissions.every(isPermission) || (permissions.length > 0 && !operator)) {
    throw new InvalidGrantError('Permissions without a tenant are those of an operator.')
  }
  const passwordHash = await auth.passwords.hash(parsePassword(user.password))
  return await platformTransaction(auth.database, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO public.users (email, name, password_hash, is_operator, permissions) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (lower(email)) DO NOTHING RETURNING id`,
      [email, name, passwordHash, operator, permissions],
    )
    const id = rows[0]?.id
    if (id === undefined) throw new UserExistsError(email)
    if (membership && !(await insertMember(client, id, membership, by))) {
      throw new UnknownTenantError(membership.tenantId)
    }
    return id
  })
}

/** @throws UnknownUserError. */
export async function findUserId(auth: AuthDeps, email: string): Promise<string> {
  const { rows } = await auth.database.query<{ id: string }>(
    'SELECT id FROM public.users WHERE lower(email) = $1',
    [parseEmail(email)],
  )
  const id = rows[0]?.id
  if (id === undefined) throw new UnknownUserError()
  return id
}

/**
 * Everybody, or the people of one tenant, by e-mail address. Indexes: users_email_key, or the organization of
 * user_organizations.
 */
export async function listUsers(
  auth: AuthDeps,
  tenantId: string | null = null,
  { limit, after }: PageOptions = {},
): Promise<User[]> {
  const { rows } = await auth.database.query<User>(
    `SELECT users.id, email, users.name, users.status, invited_into IS NULL AS "addressConfirmed",
       is_operator AS operator, users.permissions,
       coalesce(jsonb_agg(${membershipJson} ORDER BY slug) FILTER (WHERE slug IS NOT NULL), '[]') AS memberships,
       last_login_at AS "lastLoginAt", users.created_at AS "createdAt"
     FROM public.users
     LEFT JOIN public.user_organizations AS member ON member.user_id = users.id
     LEFT JOIN public.organizations ON organizations.id = member.organization_id
     WHERE ($1::text IS NULL OR slug = $1) AND ($2::text IS NULL OR lower(email) > $2)
     GROUP BY users.id ORDER BY lower(email) LIMIT $3`,
    [tenantId === null ? null : parseSlug(tenantId), after?.toLowerCase() ?? null, limit ?? null],
  )
  return rows
}

/**
 * Ends every session of the user. Whoever sets a password can sign in by it, so it is refused for a user who has more
 * than they: an operator who lacks `payload:read` leaves an owner who has lost theirs to `cgk user:password`.
 *
 * @throws ForbiddenError, InvalidPasswordError, UnknownUserError.
 */
export async function setPassword(
  auth: AuthDeps,
  userId: string,
  password: string,
  by: Actor,
): Promise<void> {
  if (by) requirePermission(by, 'people:write', null)
  const passwordHash = await auth.passwords.hash(parsePassword(password))
  await changeAccount(auth, userId, 'password_hash = $2', [passwordHash], async (client) => {
    const standing = by && (await readStanding(client, userId))
    const more = standing && beyond(by, standing)
    if (more !== null) throw new ForbiddenError(more)
  })
}

/**
 * One's own. It ends every session, this one included. Whoever has found a session open must not find out the password
 * by trying, so tries count as those to sign in from a browser that is known.
 *
 * @throws LoginRefusedError when the current password is wrong; LoginLimitedError; InvalidPasswordError.
 */
export async function changeOwnPassword(
  auth: AuthDeps,
  { id, name: email, sessionId }: UserPrincipal,
  { current, next }: { current: string; next: string },
): Promise<void> {
  const password = parsePassword(next)
  const { rows } = await auth.database.query<{ hash: string | null }>(
    'SELECT password_hash AS hash FROM public.users WHERE id = $1',
    [id],
  )
  const attempt = { email, browser: sessionId, network: null, isOwnNetwork: false }
  await spendLoginTry(auth, attempt)
  const given = normalizePassword(current)
  if (given === null || !(await auth.passwords.verify(rows[0]?.hash ?? null, given))) {
    throw new LoginRefusedError()
  }
  const passwordHash = await auth.passwords.hash(password)
  await changeAccount(auth, id, 'password_hash = $2', [passwordHash])
  await forgiveLoginTries(auth, attempt)
}

/** At once: every session of the user ends, and nobody signs in. @throws ForbiddenError, UnknownUserError. */
export async function disableUser(auth: AuthDeps, userId: string, by: Actor): Promise<void> {
  if (by) requirePermission(by, 'people:write', null)
  await changeAccount(auth, userId, "status = 'disabled'", [])
}

/** With the password of before. @throws ForbiddenError, UnknownUserError. */
export async function enableUser(auth: AuthDeps, userId: string, by: Actor): Promise<void> {
  if (by) requirePermission(by, 'people:write', null)
  await changeAccount(auth, userId, "status = 'active'", [])
}

/**
 * It has been made sure, outside of the platform, that the account is of the person who has its address: from now on it
 * may belong to any tenant. Where somebody else may know the password, set another one first. False: it was before.
 *
 * @throws ForbiddenError, UnknownUserError.
 */
export async function confirmAddress(auth: AuthDeps, userId: string, by: Actor): Promise<boolean> {
  if (by) requirePermission(by, 'people:write', null)
  if (!isId(userId)) throw new UnknownUserError()
  const { rows } = await auth.database.query<{ wasConfirmed: boolean }>(
    `UPDATE public.users SET invited_into = NULL FROM public.users AS before
     WHERE users.id = $1 AND before.id = users.id
     RETURNING before.invited_into IS NULL AS "wasConfirmed"`,
    [userId],
  )
  const [row] = rows
  if (!row) throw new UnknownUserError()
  return !row.wasConfirmed
}

/**
 * The user's row first: a login that is under way either waits and finds the change, or has made its session before
 * and loses it here.
 */
async function changeAccount(
  auth: AuthDeps,
  userId: string,
  change: 'password_hash = $2' | "status = 'disabled'" | "status = 'active'",
  values: readonly string[],
  check?: (client: pg.PoolClient) => Promise<void>,
): Promise<void> {
  if (!isId(userId)) throw new UnknownUserError()
  await platformTransaction(auth.database, async (client) => {
    const { rowCount } = await client.query(`UPDATE public.users SET ${change} WHERE id = $1`, [
      userId,
      ...values,
    ])
    if (rowCount === 0) throw new UnknownUserError()
    await check?.(client)
    await client.query(revokeAllSql, [userId, auth.now()])
  })
}
