/**
 * One connection that LISTENs, for as long as the process works. A notification is only ever a hint that makes things
 * faster: everything it announces is also found by polling, so a lost connection costs latency and nothing else.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { DatabaseSetupError } from '../errors.ts'
import { quoteIdentifier } from './statement.ts'

export interface ListenerOptions {
  /** Must reach Postgres itself: LISTEN does not work through PgBouncer in transaction mode. */
  url: string
  onError?(error: Error): void
  /** Shown in pg_stat_activity: `cgk listen` by default, by which a living worker is known. */
  applicationName?: string
}

const reconnectAfterMs = [100, 500, 1_000, 2_000, 5_000, 30_000]
const echoWithinMs = 3_000

export class Listener {
  readonly #options: ListenerOptions
  readonly #handlers = new Map<string, (payload: string) => void>()
  readonly #onConnect: (() => void)[] = []
  /** One name for all attempts: behind a pooler, each leaves its LISTEN on some connection. */
  readonly #echo = `cgk_echo_${randomUUID().replaceAll('-', '')}`
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

  /** Called after each (re)connection: whatever was announced before it was missed. */
  onConnect(handler: () => void): this {
    this.#onConnect.push(handler)
    return this
  }

  /** Whether notifications arrive right now. */
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

  /**
   * A pooler in transaction mode takes LISTEN without a word and never delivers. So a notification of our own must
   * arrive before this connection counts as listening; sent over another one, for a pooler does deliver what happens
   * to come while the connection is in use.
   */
  async #hearOneself(client: pg.Client): Promise<void> {
    const heard = new Promise<boolean>((resolve) => {
      client.on('notification', ({ channel }) => channel === this.#echo && resolve(true))
      client.once('end', () => resolve(false))
      this.#stop.signal.addEventListener('abort', () => resolve(false), { once: true })
      setTimeout(() => resolve(false), echoWithinMs).unref()
    })
    await client.query(`LISTEN ${this.#echo}`)
    await this.#call()
    if (await heard) {
      await client.query(`UNLISTEN ${this.#echo}`)
      return
    }
    throw new DatabaseSetupError(
      'Notifications do not arrive over this connection, so runs are found by polling. Behind PgBouncer in transaction mode, set DATABASE_DIRECT_URL to a URL that reaches Postgres itself.',
    )
  }

  async #call(): Promise<void> {
    const caller = new pg.Client({ connectionString: this.#options.url, application_name: 'cgk echo' })
    caller.on('error', () => {}) // The query fails as well.
    try {
      await caller.connect()
      await caller.query('SELECT pg_notify($1, $2)', [this.#echo, ''])
    } finally {
      await caller.end().catch(() => {})
    }
  }

  /** Answers when the connection is gone; true if it had listened. */
  async #listenOnce(): Promise<boolean> {
    const client = new pg.Client({
      connectionString: this.#options.url,
      application_name: this.#options.applicationName ?? 'cgk listen',
      keepAlive: true,
    })
    const gone = new Promise<void>((resolve) => client.once('end', () => resolve()))
    client.on('error', (error) => this.#options.onError?.(error))
    client.on('notification', ({ channel, payload }) => this.#handlers.get(channel)?.(payload ?? ''))
    try {
      await client.connect()
      await this.#hearOneself(client)
      for (const channel of this.#handlers.keys()) await client.query(`LISTEN ${quoteIdentifier(channel)}`)
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#options.onError?.(error as Error)
      await client.end().catch(() => {})
      return false
    }
    this.#client = client
    for (const handler of this.#onConnect) handler()
    if (this.#stop.signal.aborted) await client.end().catch(() => {})
    await gone
    this.#client = null
    return true
  }
}
