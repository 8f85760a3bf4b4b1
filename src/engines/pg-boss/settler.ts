/**
 * Collects what runs came to and settles many at once. While one statement is under way the next batch gathers, and
 * while runs end in quick succession it gathers a little longer: batches grow with the load, and nothing waits when
 * there is none.
 */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import type { Pace } from './pace.ts'
import { type Settlement, settle } from './settle.ts'

const maxBatch = 500
const gatherMs = 20
/** So many runs in the time of gathering make it worth waiting. */
const worthGathering = 10
const longestPauseMs = 2_000

export class Settler {
  readonly #queue: Database
  readonly #worker: string
  readonly #logger: Logger
  readonly #pace: Pace
  readonly #onSettled: (settlement: Settlement, ours: boolean) => void
  #waiting: Settlement[] = []
  #running: Promise<void> | null = null

  constructor(options: {
    queue: Database
    worker: string
    logger: Logger
    pace: Pace
    /** `ours` is false when the run had been cancelled or lost meanwhile: the settlement changed nothing. */
    onSettled(settlement: Settlement, ours: boolean): void
  }) {
    this.#queue = options.queue
    this.#worker = options.worker
    this.#logger = options.logger
    this.#pace = options.pace
    this.#onSettled = options.onSettled
  }

  add(settlement: Settlement): void {
    this.#waiting.push(settlement)
    this.#running ??= this.#settleAll().finally(() => {
      this.#running = null
    })
  }

  /** Answers when everything that was added has been settled. */
  async drain(): Promise<void> {
    while (this.#running) await this.#running
  }

  async #settleAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather()
      const batch = this.#waiting.splice(0, maxBatch)
      const settled = await this.#settleSurely(batch)
      for (const settlement of batch) this.#onSettled(settlement, settled.has(settlement.claim.id))
    }
  }

  async #gather(): Promise<void> {
    if (this.#waiting.length >= maxBatch) return
    if (this.#pace.within(gatherMs) >= worthGathering) await sleep(gatherMs)
    // What finishes in the same turn of the event loop is settled together.
    else await setImmediate()
  }

  /**
   * Postgres may be away for a while; the runs stay ours as long as heartbeats come through, and if they do not, the
   * fence refuses a settlement that comes too late. So trying again is always right.
   */
  async #settleSurely(batch: readonly Settlement[]): Promise<Set<string>> {
    for (let failures = 0; ; failures += 1) {
      try {
        return await settle(this.#queue, batch, this.#worker)
      } catch (error) {
        this.#logger.warn({ err: error, runs: batch.length }, 'Settling failed; trying again')
        // A row that Postgres refuses would keep its whole batch from being settled: split until it is alone.
        if (isRefusal(error)) return await this.#settleApart(batch, error)
        await sleep(Math.min(longestPauseMs, 50 * 2 ** failures))
      }
    }
  }

  async #settleApart(batch: readonly Settlement[], error: unknown): Promise<Set<string>> {
    if (batch.length > 1) {
      const middle = batch.length >> 1
      const halves = [batch.slice(0, middle), batch.slice(middle)]
      const settled = new Set<string>()
      for (const half of halves) for (const id of await this.#settleSurely(half)) settled.add(id)
      return settled
    }
    // Alone and still refused: its output or error is what Postgres will not take. The outcome itself stands.
    const [only] = batch
    this.#logger.error(
      { err: error, run: only!.claim.id },
      'Postgres refused an output; it is settled without',
    )
    const bare = JSON.stringify({
      error: {
        name: 'UnstorableResult',
        code: null,
        message: 'Postgres refused the result of this run.',
        stack: null,
      },
    })
    return await settle(this.#queue, [{ ...only!, output: bare }], this.#worker)
  }
}

/** Data exceptions and violated constraints: trying the same again cannot help. */
function isRefusal(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^(22|23)/.test(code)
}
