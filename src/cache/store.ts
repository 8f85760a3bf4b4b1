/** Where entries are kept. Two stores of one behaviour, in `postgres.ts` and `redis.ts`; one suite of tests runs on both. */
import { CacheUnavailableError } from '../errors.ts'

export interface CacheStore {
  /** Null: there is none, or its time is over. */
  get(key: string): Promise<string | null>
  /** Replaces what is there, its time to live as well. */
  set(key: string, value: string, ttlMs: number): Promise<void>
  /** False: there was none. */
  delete(key: string): Promise<boolean>
  /** Forgets every entry of the tenant that was there when it began. */
  clear(tenantId: string): Promise<void>
  close(): Promise<void>
}

const deadlineMs = { entry: 1_000, clear: 60_000 }

/** Whoever asks a cache is in a hurry: a store that does not answer in time counts as away. */
export function withinDeadline(store: CacheStore): CacheStore {
  return {
    get: (key) => answerWithin(deadlineMs.entry, store.get(key)),
    set: (key, value, ttlMs) => answerWithin(deadlineMs.entry, store.set(key, value, ttlMs)),
    delete: (key) => answerWithin(deadlineMs.entry, store.delete(key)),
    clear: (tenantId) => answerWithin(deadlineMs.clear, store.clear(tenantId)),
    close: () => store.close(),
  }
}

async function answerWithin<T>(ms: number, answer: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  try {
    return await Promise.race([answer, late])
  } catch (error) {
    throw new CacheUnavailableError(error instanceof Error ? error : new Error(String(error)))
  } finally {
    clearTimeout(timer)
  }
}
