/**
 * Entries in Redis, which forgets them itself. One server, or what speaks like one; a Redis that is away is connected to
 * again in the background, and meanwhile every call fails at once.
 */
import { createClient } from '@redis/client'
import type { CacheStore } from './store.ts'

/** Others may use the same Redis. */
const prefix = 'cgk:cache:'
const connectWithinMs = 1_000
const longestReconnectMs = 2_000
const mostUnanswered = 10_000
/** Keys looked at in one step, when a tenant's are looked for. */
const scanStep = 1_000

export interface RedisCacheOptions {
  url: string
  /** Told once for each time that it goes away. */
  onError(error: Error): void
}

export class RedisCache implements CacheStore {
  readonly #client: Client
  #connecting: Promise<unknown> | null = null
  /** Why it is away. */
  #trouble: Error | null = null

  constructor({ url, onError }: RedisCacheOptions) {
    this.#client = makeClient(url)
    this.#client.on('ready', () => {
      this.#trouble = null
    })
    this.#client.on('error', (error: Error) => {
      if (this.#trouble === null) onError(error)
      this.#trouble = error
    })
  }

  async get(key: string): Promise<string | null> {
    return await (await this.#connected()).get(prefix + key)
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await (await this.#connected()).set(prefix + key, value, { expiration: { type: 'PX', value: ttlMs } })
  }

  async delete(key: string): Promise<boolean> {
    return (await (await this.#connected()).unlink(prefix + key)) > 0
  }

  /** All keys are looked at, in small steps: clearing is rare, and a list of each tenant's keys would have to be kept true. */
  async clear(tenantId: string): Promise<void> {
    const client = await this.#connected()
    // A slug has no character that means something in a pattern.
    for await (const keys of client.scanIterator({ MATCH: `${prefix}${tenantId}:*`, COUNT: scanStep })) {
      if (keys.length > 0) await client.unlink(keys)
    }
  }

  async close(): Promise<void> {
    if (this.#client.isOpen) this.#client.destroy()
  }

  /** Connects at the first use, and from then on by itself. */
  async #connected(): Promise<Client> {
    if (this.#trouble !== null) throw this.#trouble
    this.#connecting ??= this.#client.connect()
    if (!this.#client.isReady) await this.#connecting
    return this.#client
  }
}

type Client = ReturnType<typeof makeClient>

function makeClient(url: string) {
  return createClient({
    url,
    name: 'cgk-cache',
    disableOfflineQueue: true,
    // Of a server that hears and does not answer.
    commandsQueueMaxLength: mostUnanswered,
    socket: {
      connectTimeout: connectWithinMs,
      reconnectStrategy: (retries) => Math.min(longestReconnectMs, 50 * 2 ** Math.min(retries, 10)),
    },
  })
}
