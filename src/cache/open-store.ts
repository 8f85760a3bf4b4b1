/** The store that the configuration asks for; the client of Redis is loaded only where there is one. */
import { PostgresCache } from './postgres.ts'
import { type CacheStore, withinDeadline } from './store.ts'

export interface StoreOptions {
  redisUrl: string | null
  databaseUrl: string
  /** The store went away, or could not be swept. */
  onError(error: Error): void
}

/** Connects at its first use. */
export async function openCacheStore({ redisUrl, databaseUrl, onError }: StoreOptions): Promise<CacheStore> {
  if (redisUrl === null) return withinDeadline(new PostgresCache({ url: databaseUrl, onError }))
  const { RedisCache } = await import('./redis.ts')
  return withinDeadline(new RedisCache({ url: redisUrl, onError }))
}
