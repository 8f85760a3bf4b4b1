/**
 * One connection that LISTENs, for as long as the process works. A notification is only ever a hint that makes things
 * faster: everything it announces is also found by polling, so a lost connection costs latency and nothing else.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { quoteIdentifier } from './statement.ts'

export interface ListenerOptions {
  /** Must reach Postgres itself: LISTEN does not work through PgBouncer in transaction mode. */
  url: string
  /** After each (re)connection: whatever was announced in between was missed. */
  onConnect?(): void
  onError?(error: Error): void
}

const reconnectAfterMs = [100, 500, 1_000, 2_000, 5_000]

export class Listener {
  readonly #options: ListenerOptions
  readonly #handlers = new Map<string, (payload: string) => void>()
  readonly #stop = new AbortController()
  #client: pg.Client | null = null
  #loop: Promise<void> | null = null

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  /** Channels are named before `start`. */
  on(channel: string, handler: (payload: string) => void): this {
    this.#handlers.set(channel, handler)
    return this
  }

  get connected(): boolean {
    return this.#client !== null
  }

  start(): void {
    this.#loop ??= this.#keepListening()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#client?.end().catch(() => {})
    await this.#loop
  }

  async #keepListening(): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted; failures += 1) {
      const established = await this.#listenOnce()
      if (established) failures = 0
      const delay = reconnectAfterMs[Math.min(failures, reconnectAfterMs.length - 1)]
      await sleep(delay, null, { signal: this.#stop.signal, ref: false }).catch(() => {})
    }
  }

  /** Answers when the connection is gone; true if it had listened. */
  async #listenOnce(): Promise<boolean> {
    const client = new pg.Client({
      connectionString: this.#options.url,
      application_name: 'cgk listen',
      keepAlive: true,
    })
    const gone = new Promise<void>((resolve) => client.once('end', () => resolve()))
    client.on('error', (error) => this.#options.onError?.(error))
    client.on('notification', ({ channel, payload }) => this.#handlers.get(channel)?.(payload ?? ''))
    try {
      await client.connect()
      for (const channel of this.#handlers.keys()) await client.query(`LISTEN ${quoteIdentifier(channel)}`)
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#options.onError?.(error as Error)
      await client.end().catch(() => {})
      return false
    }
    this.#client = client
    this.#options.onConnect?.()
    if (this.#stop.signal.aborted) await client.end().catch(() => {})
    await gone
    this.#client = null
    return true
  }
}
