/** Which run an idempotency key leads to: one that has it, or the one that is asked for. */
import type { Database } from '../../db/database.ts'
import { platformTransaction } from '../../db/platform-transaction.ts'
import type { Run } from '../../task/run.ts'
import type { TriggerApi } from './api.ts'
import type { RunReader } from './read.ts'
import type { TriggerCall } from './request.ts'

export interface Holder {
  /** The platform's. */
  runId: string
  triggerId: string
}

export class KeyHolders {
  readonly #reader: RunReader
  readonly #database: Database
  /** Keys that are being freed, so that those who want one key do it once. */
  readonly #renewing = new Map<string, Promise<string>>()

  constructor(reader: RunReader, database: Database) {
    this.#reader = reader
    this.#database = database
  }

  async find(call: TriggerCall, api: TriggerApi): Promise<Holder> {
    const { id, isCached } = await api.trigger(call)
    if (!isCached) return { runId: call.runId, triggerId: id }
    const holder = await this.#reader.getByTriggerId(id)
    if (holder && !isSpent(holder)) return { runId: holder.id, triggerId: id }
    const triggerId = await this.#renew(call, api)
    return { runId: (await this.#reader.getByTriggerId(triggerId))?.id ?? call.runId, triggerId }
  }

  /**
   * Trigger.dev itself frees the key of a run that failed, and not that of every other run that came to nothing. Who
   * frees a key could free that of a run which has just taken it: one process at a time, and each looks again first.
   */
  #renew(call: TriggerCall, api: TriggerApi): Promise<string> {
    const { idempotencyKey: key } = call.options
    const renewing =
      this.#renewing.get(key) ?? this.#renewAlone(call, api).finally(() => this.#renewing.delete(key))
    this.#renewing.set(key, renewing)
    return renewing
  }

  async #renewAlone(call: TriggerCall, api: TriggerApi): Promise<string> {
    const { idempotencyKey: key } = call.options
    return await platformTransaction(this.#database, async (client) => {
      await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`trigger.dev ${key}`])
      const again = await api.trigger(call)
      if (!again.isCached) return again.id
      // On the connection that is held: waiting for another one could wait for ever.
      const holder = await this.#reader.getByTriggerId(again.id, client)
      if (holder && !isSpent(holder)) return again.id
      await api.resetKey(call.id, key)
      return (await api.trigger(call)).id
    })
  }
}

/** Its key is free for a new run. */
function isSpent({ state }: Run): boolean {
  return state === 'failed' || state === 'cancelled' || state === 'expired'
}
