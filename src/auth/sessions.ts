/** The sessions of a user: which there are, ending them, and the tenant that one of them is about. */
import { ForbiddenError } from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'
import type { AuthDeps } from './deps.ts'
import { isId } from './id.ts'
import { keptAfterEnd } from './session-life.ts'

export interface SessionInfo {
  id: string
  address: string | null
  userAgent: string | null
  createdAt: Date
  /** When it ends if it is not used again. */
  expiresAt: Date
}

/** Those that are valid, the newest first. Index: sessions_user_id_idx. */
export async function listSessions(auth: AuthDeps, userId: string): Promise<SessionInfo[]> {
  const { rows } = await auth.database.query<SessionInfo>(
    `SELECT id, ip_address AS address, user_agent AS "userAgent", created_at AS "createdAt", expires_at AS "expiresAt"
     FROM public.sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
     ORDER BY created_at DESC`,
    [userId, auth.now()],
  )
  return rows
}

/** False: the user has no such session, or it has ended. */
export async function revokeSession(auth: AuthDeps, userId: string, sessionId: string): Promise<boolean> {
  if (!isId(sessionId)) return false
  const { rowCount } = await auth.database.query(
    'UPDATE public.sessions SET revoked_at = $3 WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL AND expires_at > $3',
    [userId, sessionId, auth.now()],
  )
  return rowCount === 1
}

/** Values: the user, and now. */
export const revokeAllSql =
  'UPDATE public.sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2'

/** Answers how many were still valid. */
export async function revokeAllSessions(auth: AuthDeps, userId: string): Promise<number> {
  if (!isId(userId)) return 0
  return (await auth.database.query(revokeAllSql, [userId, auth.now()])).rowCount
}

/**
 * From now on the session is about this tenant.
 *
 * @throws ForbiddenError when the session is not valid, or its user has no access to such a tenant.
 */
export async function switchTenant(auth: AuthDeps, sessionId: string, tenantId: string): Promise<void> {
  const slug = parseSlug(tenantId)
  if (!isId(sessionId)) throw new ForbiddenError()
  const { rowCount } = await auth.database.query(
    `UPDATE public.sessions SET current_tenant_id = organizations.slug
     FROM public.users, public.organizations
     WHERE sessions.id = $1 AND revoked_at IS NULL AND expires_at > $3
       AND users.id = sessions.user_id AND users.status = 'active' AND organizations.slug = $2
       AND (is_operator OR EXISTS (
         SELECT FROM public.user_organizations AS member
         WHERE member.user_id = users.id AND member.organization_id = organizations.id
       ))`,
    [sessionId, slug, auth.now()],
  )
  if (rowCount === 0) throw new ForbiddenError()
}

/** Each login takes away more than it makes. Index: sessions_expires_at_idx. */
export async function sweepSessions(auth: AuthDeps): Promise<void> {
  await auth.database.query(
    `DELETE FROM public.sessions WHERE id IN (
       SELECT id FROM public.sessions WHERE expires_at < $1::timestamptz - $2::interval
       ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED
     )`,
    [auth.now(), keptAfterEnd],
  )
}
