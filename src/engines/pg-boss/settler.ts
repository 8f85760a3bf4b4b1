/**
 * Collects what runs came to and settles many at once. While one statement is under way the next batch gathers, and
 * while runs end in quick succession it gathers a little longer: batches grow with the load, and nothing waits when
 * there is none.
 */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import { toKeptFailure } from '../../runs/keep-failed.ts'
import type { RunError } from '../../task/json.ts'
import { recordBatch } from '../../telemetry/settled.ts'
import type { Pace } from './pace.ts'
import { type Settlement, settle } from './settle.ts'

const maxBatch = 500
const gatherMs = 40
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
  #patient = true

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

  /** The process must end: what Postgres, being away, cannot take any more counts as lost. */
  giveUp(): void {
    this.#patient = false
  }

  async #settleAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather()
      const batch = this.#waiting.splice(0, maxBatch)
      const settled = await this.#settleSurely(batch)
      recordBatch(batch.length)
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
        if (isRefusal(error)) return await this.#settleApart(batch, error)
        if (!this.#patient) return new Set()
        await sleep(Math.min(longestPauseMs, 50 * 2 ** failures))
      }
    }
  }

  /** A row that Postgres refuses would keep its whole batch from being settled: it is halved until the row is alone. */
  async #settleApart(batch: readonly Settlement[], error: unknown): Promise<Set<string>> {
    const [only, ...others] = batch
    if (others.length === 0) return await this.#settleBare(only!, error)
    const middle = batch.length >> 1
    const settled = new Set<string>()
    for (const half of [batch.slice(0, middle), batch.slice(middle)])
      for (const id of await this.#settleSurely(half)) settled.add(id)
    return settled
  }

  /** Its output or error is what Postgres will not take; the outcome itself stands. */
  async #settleBare(settlement: Settlement, error: unknown): Promise<Set<string>> {
    const run = settlement.claim.id
    const { taskId } = settlement.claim
    const bare =
      settlement.kind === 'completed' ? 'null' : JSON.stringify(toKeptFailure(taskId, unstorableResult))
    if (settlement.output === bare) {
      this.#logger.error({ err: error, run }, 'Postgres refused to settle a run; it will count as lost')
      return new Set()
    }
    this.#logger.error({ err: error, run }, 'Postgres refused an output; it is settled without')
    return await this.#settleSurely([{ ...settlement, output: bare }])
  }
}

const unstorableResult: RunError = {
  name: 'UnstorableResult',
  code: null,
  message: 'Postgres refused the result of this run.',
  stack: null,
}

/** Data exceptions, violated constraints, exceeded limits: trying the same again cannot help. */
function isRefusal(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^(22|23|54)/.test(code)
}
