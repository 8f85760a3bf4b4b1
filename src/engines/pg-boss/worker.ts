/**
 * A worker: keeps its free slots full. It claims many runs at once, runs each on its own, and settles many at once.
 *
 * One claim is under way at a time, so while it travels, slots free up and the next claim is larger: batches size
 * themselves. Notifications wake it; polling finds what a lost notification would have announced.
 */
import { hostname } from 'node:os'
import { performance } from 'node:perf_hooks'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import { RunCancelledError, RunLostError, WorkerStoppingError } from '../../errors.ts'
import type { AnyTask } from '../../task/define.ts'
import { execute } from '../../task/execute.ts'
import type { WorkOptions, Worker } from '../engine.ts'
import type { Boss } from './boss.ts'
import { type Claim, claim } from './claim.ts'
import { findDue } from './due.ts'
import { beat, cancelledAmong, recoverLost } from './heartbeat.ts'
import { type Settlement, expired, toSettlement } from './settle.ts'
import { Settler } from './settler.ts'
import { Ticker } from './ticker.ts'

const maxClaim = 500
const beatEveryMs = 3_000
const recoverEveryMs = 2_000
const superviseEveryMs = 60_000
const pollMs = { listening: 1_000, deaf: 250 }

interface InFlight {
  claim: Claim
  abort: AbortController
  startedAt: number
}

export interface WorkerDependencies {
  database: Database
  boss: Boss
  /** Whether notifications arrive right now. */
  isListening(): boolean
  onStopped(worker: PgBossWorker): void
}

export class PgBossWorker implements Worker {
  readonly name = `${hostname()}:${process.pid}`
  readonly #options: WorkOptions
  readonly #dependencies: WorkerDependencies
  readonly #database: Database
  readonly #logger: Logger
  readonly #tasks: ReadonlyMap<string, AnyTask>
  readonly #settler: Settler
  readonly #tickers: Ticker[]

  /** Claimed and not settled yet, by run id: what heartbeats speak for. */
  readonly #inFlight = new Map<string, InFlight>()
  /** Tasks that probably have due runs, in the order they will be asked. */
  readonly #hot = new Set<string>()
  readonly #poller: Ticker
  /** Slots in use. A run that waits for a child gives its slot back meanwhile. */
  #busy = 0
  #waitingForChild = 0
  #stopping = false
  #wakeUp: () => void = () => {}
  #pumping: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | null = null

  constructor(options: WorkOptions, dependencies: WorkerDependencies) {
    this.#options = options
    this.#dependencies = dependencies
    this.#database = dependencies.database
    this.#logger = options.logger
    this.#tasks = new Map(options.tasks.map((task) => [task.id, task]))
    this.#settler = new Settler({
      database: this.#database,
      worker: this.name,
      logger: this.#logger,
      onSettled: (settlement, ours) => this.#forget(settlement, ours),
    })
    const failed = (what: string) => (error: unknown) =>
      this.#logger.warn({ err: error }, `${what} failed; it is tried again`)
    this.#poller = new Ticker(() => this.#poll(), pollMs.deaf, failed('Looking for due runs'))
    this.#tickers = [
      this.#poller,
      new Ticker(() => this.#beat(), beatEveryMs, failed('The heartbeat')),
      new Ticker(() => this.#recover(), recoverEveryMs, failed('Recovering lost runs')),
      new Ticker(() => this.#supervise(), superviseEveryMs, failed('Maintenance')),
    ]
  }

  start(): void {
    for (const task of this.#tasks.keys()) this.#hot.add(task)
    for (const ticker of this.#tickers) ticker.start()
    this.#pumping = this.#pump()
  }

  /** Something became due in this task. */
  wake(taskId: string): void {
    if (!this.#tasks.has(taskId)) return
    this.#hot.add(taskId)
    this.#wakeUp()
  }

  wakeAll(): void {
    this.#poller.soon()
  }

  /** Somebody cancelled this run. */
  cancelled(runId: string): void {
    this.#inFlight.get(runId)?.abort.abort(new RunCancelledError())
  }

  stop({ timeoutMs = 25_000 }: { timeoutMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#shutDown(timeoutMs)
    return this.#stopped
  }

  async #shutDown(timeoutMs: number): Promise<void> {
    this.#stopping = true
    this.#wakeUp()
    await this.#pumping
    const deadline = setTimeout(() => {
      for (const { abort } of this.#inFlight.values()) abort.abort(new WorkerStoppingError())
    }, timeoutMs)
    while (this.#inFlight.size > 0) await new Promise<void>((resolve) => this.#onIdle(resolve))
    clearTimeout(deadline)
    await this.#settler.drain()
    await Promise.all(this.#tickers.map((ticker) => ticker.stop()))
    this.#dependencies.onStopped(this)
  }

  async #pump(): Promise<void> {
    while (!this.#stopping) {
      const free = this.#freeSlots()
      const taskId = free > 0 ? this.#nextHot() : undefined
      if (taskId === undefined) {
        await new Promise<void>((resolve) => {
          this.#wakeUp = resolve
        })
        continue
      }
      await this.#claimFrom(this.#tasks.get(taskId)!, Math.min(free, maxClaim))
    }
  }

  async #claimFrom(task: AnyTask, wanted: number): Promise<void> {
    try {
      const claims = await claim(this.#database, task, wanted)
      // A full answer means that there is probably more; a short one that this was all.
      if (claims.length === wanted) this.#hot.add(task.id)
      for (const one of claims) this.#begin(task, one)
    } catch (error) {
      this.#logger.warn({ err: error, task: task.id }, 'Claiming runs failed; it is tried again')
      this.#poller.soon(500)
    }
  }

  #begin(task: AnyTask, one: Claim): void {
    const flight: InFlight = { claim: one, abort: new AbortController(), startedAt: performance.now() }
    this.#inFlight.set(one.id, flight)
    if (one.lapsed) return this.#settler.add(expired(one))
    this.#busy += 1
    void this.#run(task, flight)
  }

  async #run(task: AnyTask, { claim: one, abort }: InFlight): Promise<void> {
    const attempt = {
      runId: one.id,
      attempt: one.retryCount + 1,
      maxAttempts: one.retryLimit + 1,
      signal: abort.signal,
    }
    const outcome = await execute(task, one.data.payload, attempt, {
      database: this.#database,
      dispatcher: this.#options.dispatcher,
      logger: this.#logger,
      whileWaiting: (wait) => this.#withoutSlot(wait),
    })
    this.#busy -= 1
    if (outcome.kind === 'abandoned') this.#leave(one.id)
    else this.#settler.add(toSettlement(one, outcome))
    this.#wakeUp()
  }

  async #withoutSlot<T>(wait: () => Promise<T>): Promise<T> {
    this.#busy -= 1
    this.#waitingForChild += 1
    this.#wakeUp()
    try {
      return await wait()
    } finally {
      this.#busy += 1
      this.#waitingForChild -= 1
    }
  }

  #forget({ claim: one, kind, delayMs }: Settlement, ours: boolean): void {
    const flight = this.#inFlight.get(one.id)
    if (flight && ours) {
      const durationMs = performance.now() - flight.startedAt
      const { id: runId, taskId, tenantId } = one
      this.#options.onSettled?.({ runId, taskId, tenantId, attempt: one.retryCount + 1, outcome: kind, durationMs })
    }
    this.#leave(one.id)
    if (kind === 'retry' || kind === 'postponed') this.#poller.soon(delayMs)
    // A limited task may have had nothing to claim only because this run was in the way.
    if (this.#tasks.get(one.taskId)?.perTenant != null) this.#hot.add(one.taskId)
    this.#wakeUp()
  }

  #leave(runId: string): void {
    this.#inFlight.delete(runId)
    if (this.#inFlight.size === 0) this.#idle()
  }

  /** Runs that are over but not settled yet may pile up to as many again, so a slow settle does not idle the slots. */
  #freeSlots(): number {
    const slots = this.#options.concurrency
    const unsettled = this.#inFlight.size - this.#waitingForChild
    return Math.min(slots - this.#busy, 2 * slots - unsettled)
  }

  /** Tasks take turns. */
  #nextHot(): string | undefined {
    const [taskId] = this.#hot
    if (taskId !== undefined) this.#hot.delete(taskId)
    return taskId
  }

  async #poll(): Promise<number> {
    const interval = this.#dependencies.isListening() ? pollMs.listening : pollMs.deaf
    let nextInMs = interval
    for (const { taskId, inMs } of await findDue(this.#database, [...this.#tasks.keys()])) {
      if (inMs <= 0) this.#hot.add(taskId)
      else nextInMs = Math.min(nextInMs, inMs + 1)
    }
    this.#wakeUp()
    return nextInMs
  }

  async #beat(): Promise<void> {
    const flights = [...this.#inFlight.values()].filter(({ abort }) => !abort.signal.aborted)
    if (flights.length === 0) return
    const ours = await beat(
      this.#database,
      flights.map((flight) => flight.claim),
    )
    // What was settled while the heartbeat travelled is not lost.
    const gone = flights.filter(({ claim: one }) => !ours.has(one.id) && this.#inFlight.get(one.id)?.claim === one)
    if (gone.length === 0) return
    const claims = gone.map((flight) => flight.claim)
    const cancelled = await cancelledAmong(this.#database, claims)
    for (const { claim: one, abort } of gone) {
      abort.abort(cancelled.has(one.id) ? new RunCancelledError() : new RunLostError())
    }
  }

  async #recover(): Promise<void> {
    const recovered = await recoverLost(this.#database, [...this.#tasks.keys()])
    if (recovered > 0) this.#logger.warn({ runs: recovered }, 'Took back runs of a worker that went silent')
  }

  async #supervise(): Promise<void> {
    await this.#dependencies.boss.supervise()
  }

  #idle: () => void = () => {}

  #onIdle(resolve: () => void): void {
    if (this.#inFlight.size === 0) resolve()
    else this.#idle = resolve
  }
}
