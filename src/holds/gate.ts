/**
 * What this process knows of holds, asked before every request to a provider. Claims ask the table itself, so no held
 * run starts; this stops the next request of runs that had started before.
 *
 * It hears of holds by notification. A hold it knows is looked up again when that was a while ago, so that a process
 * that hears nothing finds out that it is over.
 */
import { ServiceHeldError } from '../errors.ts'
import type { ActiveHold } from './read.ts'

export interface GateOptions {
  /** The hold that stands now, or null. */
  read(tenantId: string, service: string): Promise<ActiveHold | null>
  /** Milliseconds since 1970. */
  now(): number
}

interface Closed {
  until: Date | null
  readAt: number
  /** The table says so, too. What a provider has just asked for is heeded before it does, and should Postgres be away. */
  recorded: boolean
}

const trustedForMs = 1_000

export class HoldGate {
  readonly #options: GateOptions
  readonly #closed = new Map<string, Closed>()

  constructor(options: GateOptions) {
    this.#options = options
  }

  /** @throws ServiceHeldError while the service is held for the tenant. Synchronous where nothing is held. */
  pass(tenantId: string, service: string): void | Promise<void> {
    const closed = this.#closed.get(keyOf(tenantId, service))
    if (closed) return this.#passHold(tenantId, service, closed)
  }

  /** Held for so many milliseconds from now (null: for no certain time). Answers when that is, by this process's clock. */
  close(tenantId: string, service: string, endsInMs: number | null, recorded = true): Date | null {
    const now = this.#options.now()
    const until = endsInMs === null ? null : new Date(now + endsInMs)
    this.#closed.set(keyOf(tenantId, service), { until, readAt: now, recorded })
    return until
  }

  /** A provider has just asked to wait; the table does not say so yet. */
  heed(tenantId: string, service: string, endsInMs: number): void {
    const standing = this.#closed.get(keyOf(tenantId, service))
    const isLonger =
      standing && (standing.until?.getTime() ?? Number.POSITIVE_INFINITY) > this.#options.now() + endsInMs
    if (!isLonger) this.close(tenantId, service, endsInMs, false)
  }

  /** A hold was placed, perhaps one of several at the same moment, whose answers come in any order: the longest counts. */
  placed(tenantId: string, service: string, endsInMs: number | null): Date | null {
    const standing = this.#closed.get(keyOf(tenantId, service))?.until?.getTime() ?? 0
    const leftMs = standing - this.#options.now()
    return this.close(tenantId, service, endsInMs === null ? null : Math.max(endsInMs, leftMs))
  }

  /** Somebody says that the hold has changed. Answers whether the service is held. */
  async refresh(tenantId: string, service: string): Promise<boolean> {
    const hold = await this.#options.read(tenantId, service)
    if (hold) this.close(tenantId, service, hold.endsInMs)
    else if (this.#closed.get(keyOf(tenantId, service))?.recorded) this.open(tenantId, service)
    return hold !== null
  }

  open(tenantId: string, service: string): void {
    this.#closed.delete(keyOf(tenantId, service))
  }

  async #passHold(tenantId: string, service: string, { until, readAt, recorded }: Closed): Promise<void> {
    const now = this.#options.now()
    if (until && until.getTime() <= now) {
      this.#closed.delete(keyOf(tenantId, service))
      return
    }
    if (recorded && now - readAt > trustedForMs && !(await this.refresh(tenantId, service))) return
    throw new ServiceHeldError(tenantId, service, until)
  }
}

function keyOf(tenantId: string, service: string): string {
  return `${tenantId} ${service}`
}
