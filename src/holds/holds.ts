/** The holds of one platform: the table, what this process knows of it, and who is told when one is lifted. */
import type { Database } from '../db/database.ts'
import { HoldGate } from './gate.ts'
import { type Hold, parseAnnouncement } from './hold.ts'
import { type HoldRequest, placeHold } from './place.ts'
import { listHolds, readActiveHold } from './read.ts'

export interface HoldsOptions {
  database: Database
  /** Milliseconds since 1970. */
  now(): number
  /** A hold is over: its runs may go. */
  onLifted(tenantId: string, service: string): void
  onError(error: unknown): void
}

export class Holds {
  readonly gate: HoldGate
  readonly #options: HoldsOptions
  readonly #placing = new Map<string, Promise<Date | null | undefined>>()

  constructor(options: HoldsOptions) {
    this.#options = options
    this.gate = new HoldGate({
      now: options.now,
      read: (tenantId, service) => readActiveHold(options.database, tenantId, service),
    })
  }

  /**
   * Runs of the tenant that need the service wait from now on. However many of them fail at once for one reason, it is
   * placed once. Answers when it ends (null: not by itself), or undefined when the credential was replaced meanwhile,
   * so that nothing is held.
   */
  place(request: HoldRequest): Promise<Date | null | undefined> {
    const { tenantId, service, reason, endsAfterMs, credentialVersion } = request
    const key = `${tenantId} ${service} ${reason} ${endsAfterMs} ${credentialVersion}`
    const placing = this.#placing.get(key) ?? this.#place(request).finally(() => this.#placing.delete(key))
    this.#placing.set(key, placing)
    return placing
  }

  async #place(request: HoldRequest): Promise<Date | null | undefined> {
    const { tenantId, service, endsAfterMs } = request
    // What a provider asks to wait holds at once, and should Postgres be away.
    if (endsAfterMs !== null) this.gate.heed(tenantId, service, endsAfterMs)
    const endsInMs = await placeHold(this.#options.database, request)
    if (endsInMs === undefined) {
      this.gate.open(tenantId, service)
      await this.gate.refresh(tenantId, service)
      return undefined
    }
    return this.gate.placed(tenantId, service, endsInMs)
  }

  /** All, or those of one tenant. */
  list(tenantId?: string): Promise<Hold[]> {
    return listHolds(this.#options.database, tenantId)
  }

  /** Somebody, here or elsewhere, has placed or lifted a hold. */
  async changed(tenantId: string, service: string): Promise<void> {
    try {
      const held = await this.gate.refresh(tenantId, service)
      if (!held) this.#options.onLifted(tenantId, service)
    } catch (error) {
      this.#options.onError(error)
    }
  }

  heard(announcement: string): void {
    const about = parseAnnouncement(announcement)
    if (about) void this.changed(about.tenantId, about.service)
  }
}
