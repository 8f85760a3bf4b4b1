/**
 * From a request to whoever sent it, in one round trip. Of its headers only the session cookie and the API key are
 * believed; what is chosen, permitted and revoked stands in the database, and is read anew each time.
 */
import { AmbiguousCredentialsError, NoTenantChosenError, UnauthenticatedError } from '../errors.ts'
import { hashSecret, isKey, isToken } from './bearer-secret.ts'
import { isSecure } from './cookies.ts'
import { checkCsrf, csrfToken } from './csrf.ts'
import type { AuthDeps } from './deps.ts'
import type { TenantRole } from './permissions.ts'
import type { Principal } from './principal.ts'
import { readSessionCookies } from './session-cookie.ts'
import { absoluteLife, idleMs, rewriteAfter } from './session-life.ts'
import { known, membershipJson, readMemberships, type StoredMembership } from './standing.ts'

/** @throws UnauthenticatedError, and what `principalOf` throws. */
export async function requireAuth(auth: AuthDeps, request: Request): Promise<Principal> {
  const principal = await principalOf(auth, request)
  if (!principal) throw new UnauthenticatedError()
  return principal
}

/**
 * Null where nobody has signed in, or not any more.
 *
 * @throws CrossSiteRequestError for an unsafe method with the cookie and without its CSRF token;
 * AmbiguousCredentialsError for a cookie and a key at once.
 */
export async function principalOf(auth: AuthDeps, request: Request): Promise<Principal | null> {
  const cookies = readSessionCookies(request, isSecure(auth.publicUrl))
  const authorization = request.headers.get('authorization')
  if (authorization !== null) {
    const [, key] = /^Bearer +(\S+)$/i.exec(authorization) ?? []
    if (key === undefined || cookies.length > 0) throw new AmbiguousCredentialsError()
    return isKey(key) ? await principalOfKey(auth, key) : null
  }
  const token = onlyToken(cookies)
  if (token === null) return null
  checkCsrf(request, token, auth.publicUrl)
  return await principalOfSession(auth, token)
}

/** For the pages of whoever has signed in, which send it back in `x-csrf-token`. Null without a session cookie. */
export function csrfTokenOf(auth: AuthDeps, request: Request): string | null {
  const token = onlyToken(readSessionCookies(request, isSecure(auth.publicUrl)))
  return token === null ? null : csrfToken(token)
}

export interface TenantContext {
  readonly tenantId: string
  readonly principal: Principal
  readonly role: TenantRole | 'operator' | 'key'
}

/** The tenant that the request is about: the one chosen in the session, or the key's. @throws NoTenantChosenError, and what `requireAuth` throws. */
export async function getTenantContext(auth: AuthDeps, request: Request): Promise<TenantContext> {
  const principal = await requireAuth(auth, request)
  const { tenantId } = principal
  if (tenantId === null) throw new NoTenantChosenError()
  if (principal.kind === 'key') return { tenantId, principal, role: 'key' }
  return { tenantId, principal, role: principal.memberships.get(tenantId)?.role ?? 'operator' }
}

function onlyToken(cookies: readonly string[]): string | null {
  const [token] = cookies
  return cookies.length === 1 && isToken(token!) ? token! : null
}

interface SessionRow {
  id: string
  userId: string
  email: string
  addressConfirmed: boolean
  operator: boolean
  permissions: string[]
  tenantId: string | null
  memberships: StoredMembership[]
}

/**
 * A session that is used goes on: its end moves with it, at most once a minute, and never beyond its absolute one.
 * Indexes: the unique one on token_hash, and primary keys.
 */
export const sessionSql = `
  WITH session AS (
    SELECT sessions.id, sessions.user_id, current_tenant_id, sessions.created_at, email, is_operator, permissions,
      invited_into
    FROM public.sessions JOIN public.users ON users.id = sessions.user_id
    WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > $2 AND users.status = 'active'
  ), kept AS (
    UPDATE public.sessions SET expires_at = least($3, session.created_at + $4::interval)
    FROM session
    WHERE sessions.id = session.id
      AND sessions.expires_at < least($3, session.created_at + $4::interval) - $5::interval
  )
  SELECT id, user_id AS "userId", email, invited_into IS NULL AS "addressConfirmed", is_operator AS operator, permissions, current_tenant_id AS "tenantId", (
    SELECT coalesce(jsonb_agg(${membershipJson}), '[]')
    FROM public.user_organizations AS member JOIN public.organizations ON organizations.id = organization_id
    WHERE member.user_id = session.user_id
  ) AS memberships
  FROM session`

async function principalOfSession(auth: AuthDeps, token: string): Promise<Principal | null> {
  const now = auth.now()
  const kept = new Date(now.getTime() + idleMs)
  const { rows } = await auth.database.query<SessionRow>(sessionSql, [
    ...[hashSecret(token), now, kept, absoluteLife, rewriteAfter],
  ])
  const [row] = rows
  if (!row) return null
  const memberships = readMemberships(row.memberships)
  const { tenantId, operator } = row
  return {
    kind: 'user',
    id: row.userId,
    name: row.email,
    addressConfirmed: row.addressConfirmed,
    tenantId: tenantId !== null && (operator || memberships.has(tenantId)) ? tenantId : null,
    operator,
    permissions: operator ? known(row.permissions) : [],
    memberships,
    sessionId: row.id,
  }
}

interface KeyRow {
  id: string
  name: string
  prefix: string
  tenantId: string | null
  scopes: string[]
}

/** Indexes: the unique one on key_hash, and primary keys. */
export const keySql = `
  WITH key AS (
    SELECT id, name, key_prefix, organization_id, scopes FROM public.api_keys
    WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
  ), used AS (
    UPDATE public.api_keys SET last_used_at = $2
    FROM key
    WHERE api_keys.id = key.id AND (last_used_at IS NULL OR last_used_at < $2 - $3::interval)
  )
  SELECT id, name, key_prefix AS prefix, scopes, (
    SELECT slug FROM public.organizations WHERE organizations.id = key.organization_id
  ) AS "tenantId"
  FROM key`

async function principalOfKey(auth: AuthDeps, key: string): Promise<Principal | null> {
  const { rows } = await auth.database.query<KeyRow>(keySql, [hashSecret(key), auth.now(), rewriteAfter])
  const [row] = rows
  if (!row) return null
  const { id, name, prefix, tenantId, scopes } = row
  return { kind: 'key', id, name: `${name} (${prefix})`, tenantId, scopes: known(scopes) }
}
