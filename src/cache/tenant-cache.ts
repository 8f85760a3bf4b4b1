/** The cache of one tenant, as an app uses it. */
import { currentScope } from '../db/scope.ts'
import { CacheTenantMismatchError, CacheUnavailableError } from '../errors.ts'
import { getCacheKey } from './key.ts'
import type { CacheStore } from './store.ts'
import { parseTtl, type Ttl } from './ttl.ts'
import { decodeValue, encodeValue } from './value.ts'

export interface SetOptions {
  /** How long the entry lives: '30s', '5m', '1d', or milliseconds; at most 30 days. */
  ttl: Ttl
}

/**
 * Keys are texts, values JSON of at most 1 MiB. Every call but `getOrSet` throws CacheUnavailableError where the store does
 * not answer within a second (`clear`: a minute). All throw CacheTenantMismatchError where code of another tenant makes
 * them, UnknownTenantError and TenantSuspendedError.
 */
export interface TenantCache {
  /** Undefined: there is none, or its time is over. What comes is what was set; the type is the caller's promise. */
  get<T = unknown>(key: string): Promise<T | undefined>
  /** Replaces what is there. @throws InvalidCacheValueError, InvalidCacheTtlError */
  set(key: string, value: unknown, options: SetOptions): Promise<void>
  /** False: there was none. */
  delete(key: string): Promise<boolean>
  /** Forgets every entry of the tenant. With Redis it looks at all keys, so it is nothing for every request. */
  clear(): Promise<void>
  /**
   * What is there, or else what `fn` answers, which is kept. Where the store is away, `fn` is asked and nothing is kept:
   * a cache that fails makes its callers slower and breaks none.
   */
  getOrSet<T>(key: string, options: SetOptions, fn: () => T | PromiseLike<T>): Promise<T>
}

export interface CacheAccess {
  store: CacheStore
  /** @throws UnknownTenantError, TenantSuspendedError */
  admit(tenantId: string): Promise<unknown>
}

export function openTenantCache(tenantId: string, access: () => Promise<CacheAccess>): TenantCache {
  const open = async (): Promise<CacheStore> => {
    const surrounding = currentScope()?.tenant?.slug
    if (surrounding !== undefined && surrounding !== tenantId) {
      throw new CacheTenantMismatchError(surrounding, tenantId)
    }
    const { store, admit } = await access()
    // Inside its own context a tenant was admitted already.
    if (surrounding === undefined) await admit(tenantId)
    return store
  }

  const cache: TenantCache = {
    async get<T>(key: string) {
      const fullKey = getCacheKey(tenantId, key)
      const found = await (await open()).get(fullKey)
      return found === null ? undefined : (decodeValue(found) as T)
    },

    async set(key, value, options) {
      const fullKey = getCacheKey(tenantId, key)
      const [text, ttlMs] = [encodeValue(value), parseTtl(options?.ttl)]
      await (await open()).set(fullKey, text, ttlMs)
    },

    async delete(key) {
      const fullKey = getCacheKey(tenantId, key)
      return await (await open()).delete(fullKey)
    },

    async clear() {
      await (await open()).clear(tenantId)
    },

    async getOrSet(key, options, fn) {
      // Before `fn`, which may be dear.
      parseTtl(options?.ttl)
      const found = await unlessAway(() => cache.get<Awaited<ReturnType<typeof fn>>>(key))
      if (found !== undefined) return found
      const value = await fn()
      await unlessAway(() => cache.set(key, value, options))
      return value
    },
  }
  return Object.freeze(cache)
}

async function unlessAway<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof CacheUnavailableError) return undefined
    throw error
  }
}
