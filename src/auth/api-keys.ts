/** API keys: made and shown once, listed by their prefix, revoked. */
import { ForbiddenError, InvalidGrantError, UnknownApiKeyError, UnknownTenantError } from '../errors.ts'
import { type Duration, parseDuration } from '../task/duration.ts'
import { parseSlug } from '../tenants/slug.ts'
import { parseName } from './account-text.ts'
import { hashSecret, isKeyPrefix, keyPrefix, newKey } from './bearer-secret.ts'
import type { AuthDeps } from './deps.ts'
import { isId } from './id.ts'
import type { PageOptions } from './page.ts'
import {
  keyScopes,
  type Permission,
  requireGrant,
  requirePermission,
  tenantPermissions,
} from './permissions.ts'
import type { Actor, UserPrincipal } from './principal.ts'

export interface NewApiKey {
  /** What it is for. */
  name: string
  /** Null: a key of the platform, good for every tenant. */
  tenantId: string | null
  scopes: readonly Permission[]
  /** '90d'; it does not expire where this is left out. */
  expiresIn?: Duration | undefined
}

export interface ApiKeyInfo {
  id: string
  name: string
  /** Its first characters: cgk_live_1a2b3c4d. */
  prefix: string
  tenantId: string | null
  scopes: Permission[]
  expiresAt: Date | null
  /** To the minute. */
  lastUsedAt: Date | null
  revokedAt: Date | null
  createdAt: Date
}

const longestLifeMs = 10 * 365 * 24 * 3_600_000

const columns = `
  api_keys.id, api_keys.name, key_prefix AS prefix, slug AS "tenantId", scopes, expires_at AS "expiresAt",
  last_used_at AS "lastUsedAt", revoked_at AS "revokedAt", api_keys.created_at AS "createdAt"`

/**
 * The key itself is in this answer and nowhere else. Nobody makes one that may more than they.
 *
 * @throws InvalidAccountError, InvalidGrantError, ForbiddenError, UnknownTenantError.
 */
export async function createApiKey(
  auth: AuthDeps,
  { name, tenantId, scopes, expiresIn }: NewApiKey,
  by: Actor,
): Promise<ApiKeyInfo & { key: string }> {
  const slug = tenantId === null ? null : parseSlug(tenantId)
  const stored = [...parseScopes(scopes, slug)]
  if (by) requireGrant(by, { permissions: stored }, slug)
  const key = newKey()
  const { rows } = await auth.database.query<ApiKeyInfo>(
    `WITH organization AS (SELECT id, slug FROM public.organizations WHERE slug = $1), api_keys AS (
       INSERT INTO public.api_keys (organization_id, key_hash, key_prefix, name, scopes, expires_at, created_at)
       SELECT (SELECT id FROM organization), $2, $3, $4, $5, $6, $7
       WHERE $1::text IS NULL OR EXISTS (SELECT FROM organization)
       RETURNING *
     )
     SELECT ${columns} FROM api_keys LEFT JOIN organization ON true`,
    [
      slug,
      hashSecret(key),
      keyPrefix(key),
      parseName(name),
      stored,
      expiry(expiresIn, auth.now()),
      auth.now(),
    ],
  )
  const [made] = rows
  if (!made) throw new UnknownTenantError(slug!)
  return { ...made, key }
}

export interface KeyFilter extends PageOptions {
  /** Null: those of the platform. All there are where this is left out. */
  tenantId?: string | null | undefined
}

/** The newest first. Index: api_keys_organization_id_idx. */
export async function listApiKeys(
  auth: AuthDeps,
  { tenantId, limit, after }: KeyFilter = {},
): Promise<ApiKeyInfo[]> {
  const { rows } = await auth.database.query<ApiKeyInfo>(
    `SELECT ${columns} FROM public.api_keys LEFT JOIN public.organizations ON organizations.id = organization_id
     WHERE ($1 OR slug = $2 OR ($2::text IS NULL AND organization_id IS NULL))
       AND ($3::uuid IS NULL OR (api_keys.created_at, api_keys.id) <
         (SELECT created_at, id FROM public.api_keys WHERE id = $3))
     ORDER BY api_keys.created_at DESC, api_keys.id DESC LIMIT $4`,
    [tenantId === undefined, tenantId == null ? null : parseSlug(tenantId), after ?? null, limit ?? null],
  )
  return rows
}

/**
 * It is refused from the next request on. Named by its id or, as people see it, its prefix. False: it had been revoked.
 * `of`: only if it is one of this tenant, or (null) of the platform.
 *
 * @throws UnknownApiKeyError also for a key of a tenant that the user may not see; ForbiddenError.
 */
export async function revokeApiKey(
  auth: AuthDeps,
  idOrPrefix: string,
  by: Actor,
  { of }: { of?: string | null } = {},
): Promise<boolean> {
  const key = await findApiKey(auth, idOrPrefix)
  if (of !== undefined && key.tenantId !== of) throw new UnknownApiKeyError()
  if (by) refuseOthersKey(by, key.tenantId)
  const { rowCount } = await auth.database.query(
    'UPDATE public.api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL',
    [key.id, auth.now()],
  )
  return rowCount === 1
}

/** Named as for revokeApiKey. @throws UnknownApiKeyError. */
export async function findApiKey(
  auth: AuthDeps,
  idOrPrefix: string,
): Promise<{ id: string; tenantId: string | null }> {
  if (!isId(idOrPrefix) && !isKeyPrefix(idOrPrefix)) throw new UnknownApiKeyError()
  const { rows } = await auth.database.query<{ id: string; tenantId: string | null }>(
    `SELECT api_keys.id, slug AS "tenantId"
     FROM public.api_keys LEFT JOIN public.organizations ON organizations.id = organization_id
     WHERE ${isId(idOrPrefix) ? 'api_keys.id' : 'key_prefix'} = $1 LIMIT 2`,
    [idOrPrefix],
  )
  const [key, another] = rows
  // Four random bytes may meet again: then the id has to tell which.
  if (!key || another) throw new UnknownApiKeyError()
  return key
}

/** Whether there is such a key elsewhere is nobody's business. */
function refuseOthersKey(by: UserPrincipal, tenantId: string | null): void {
  try {
    requirePermission(by, 'people:write', tenantId)
  } catch (error) {
    const isOwn = tenantId !== null && by.memberships.has(tenantId)
    throw error instanceof ForbiddenError && !isOwn ? new UnknownApiKeyError() : error
  }
}

function parseScopes(scopes: readonly Permission[], tenantId: string | null): ReadonlySet<Permission> {
  const possible = keyScopes.filter((one) => tenantId === null || tenantPermissions.includes(one))
  if (scopes.length === 0 || !scopes.every((one) => possible.includes(one))) {
    const whose = tenantId === null ? 'of the platform' : 'of a tenant'
    throw new InvalidGrantError(`A key ${whose} has at least one of the scopes ${possible.join(', ')}.`)
  }
  return new Set(scopes)
}

function expiry(expiresIn: Duration | undefined, now: Date): Date | null {
  if (expiresIn === undefined) return null
  const life = parseDuration(expiresIn, 1, longestLifeMs)
  if (life === null) throw new InvalidGrantError("A key expires after a time like '90d', at most ten years.")
  return new Date(now.getTime() + life)
}
