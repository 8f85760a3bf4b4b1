/** Keys of caches: no two tenants and no two lists of parts ever share one. */
import { createHash } from 'node:crypto'
import { InvalidCacheKeyError } from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'

export type CacheKeyPart = string | number

/** Longer keys are hashed: they stand in an index, and in the memory of a server. */
const longestKey = 200

/**
 * `rawdog:product:123` of `getCacheKey('rawdog', 'product', 123)`. Parts may be any text, also an empty one, and a number
 * is the text of it. What a part has of `:` and `%` is escaped; a key of more than 200 characters ends in a hash instead.
 *
 * @throws InvalidTenantSlugError, InvalidCacheKeyError
 */
export function getCacheKey(tenantId: string, ...parts: readonly CacheKeyPart[]): string {
  const key = [parseSlug(tenantId), ...parts.map(escapePart)].join(':')
  if (key.length <= longestKey) return key
  // No escape begins so, for `s` is no hexadecimal digit: no short key looks like a hashed one.
  return `${tenantId}:%sha256-${createHash('sha256').update(key).digest('hex')}`
}

/** Four digits each, so that what stands behind one is never read as a part of it. NUL and lone surrogates as well: no store takes them. */
function escapePart(part: unknown): string {
  return textOf(part).replace(
    /[%:\p{Cc}]|\p{Surrogate}/gu,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function textOf(part: unknown): string {
  if (typeof part === 'string') return part
  if (typeof part === 'number' && Number.isFinite(part)) return String(part)
  throw new InvalidCacheKeyError(part)
}
