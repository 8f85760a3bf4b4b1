/**
 * Entries in a table. What has expired is never read, swept or not; sweeping is done in passing by those who write, a
 * bounded portion at a time.
 */
import { Database } from '../db/database.ts'
import { MissingTenantContextError } from '../errors.ts'
import type { CacheStore } from './store.ts'

/** Apart from those of tasks: a transaction that asks the cache must not wait for a second connection of its own pool. */
const connections = 4
const sweepEveryMs = 60_000
const sweepPortion = 1_000

/** Index: the primary key, in all three. */
const getSql = `
  SELECT value FROM public.platform_cache WHERE tenant_id = $1 AND key = $2 AND expires_at > clock_timestamp()`

const setSql = `
  INSERT INTO public.platform_cache (tenant_id, key, value, expires_at)
  VALUES ($1, $2, $3, clock_timestamp() + $4::float8 * interval '1 millisecond')
  ON CONFLICT (tenant_id, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`

const deleteSql = `
  DELETE FROM public.platform_cache WHERE tenant_id = $1 AND key = $2 RETURNING expires_at > clock_timestamp() AS lived`

/** Index: the primary key. */
const clearSql = 'DELETE FROM public.platform_cache WHERE tenant_id = $1'

/** What somebody else is sweeping or writing is left alone. Index: expires_at. */
const sweepSql = `
  DELETE FROM public.platform_cache WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_cache WHERE expires_at <= clock_timestamp()
    LIMIT ${sweepPortion} FOR UPDATE SKIP LOCKED))`

export interface PostgresCacheOptions {
  url: string
  /** Milliseconds, of any beginning: when to sweep. */
  now?(): number
  onError(error: Error): void
}

export class PostgresCache implements CacheStore {
  readonly #database: Database
  readonly #now: () => number
  readonly #onError: (error: Error) => void
  #sweepAt: number
  #sweeping: Promise<void> | null = null

  constructor({ url, now = () => performance.now(), onError }: PostgresCacheOptions) {
    this.#now = now
    this.#onError = onError
    this.#sweepAt = now() + sweepEveryMs
    this.#database = new Database({
      url,
      poolSize: connections,
      applicationName: 'cgk cache',
      admit: () => Promise.reject(new MissingTenantContextError('The cache')),
      onIdleError: onError,
    })
  }

  async get(key: string): Promise<string | null> {
    const { rows } = await this.#database.query<{ value: string }>(getSql, split(key))
    return rows[0]?.value ?? null
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#database.query(setSql, [...split(key), value, ttlMs])
    if (this.#now() >= this.#sweepAt) this.#sweeping ??= this.#sweep()
  }

  async delete(key: string): Promise<boolean> {
    const { rows } = await this.#database.query<{ lived: boolean }>(deleteSql, split(key))
    return rows[0]?.lived ?? false
  }

  async clear(tenantId: string): Promise<void> {
    await this.#database.query(clearSql, [tenantId])
  }

  async close(): Promise<void> {
    await this.#sweeping
    await this.#database.close()
  }

  /** Nobody waits for it, nor hears more of its failure than the log. */
  async #sweep(): Promise<void> {
    try {
      const { rowCount } = await this.#database.query(sweepSql)
      // There is more: the next one who writes goes on.
      if (rowCount < sweepPortion) this.#sweepAt = this.#now() + sweepEveryMs
    } catch (error) {
      this.#sweepAt = this.#now() + sweepEveryMs
      this.#onError(error as Error)
    } finally {
      this.#sweeping = null
    }
  }
}

/** Tenant and the rest of a key, as key.ts makes it. */
function split(key: string): [tenantId: string, rest: string] {
  const colon = key.indexOf(':')
  return [key.slice(0, colon), key.slice(colon + 1)]
}
