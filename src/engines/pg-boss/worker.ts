/**
 * A worker: keeps its free slots full. It claims many runs at once, runs each on its own, and settles many at once.
 *
 * One claim is under way at a time. While runs are short, those of the next moment are claimed ahead, so slots never
 * wait for a claim. Notifications wake the worker; polling finds what a lost notification would have announced.
 */
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import type { Retention } from '../../runs/retention.ts'
import type { AnyTask } from '../../task/define.ts'
import { execute } from '../../task/execute.ts'
import { heldByTenant } from '../../task/outcome.ts'
import { recordLost } from '../../telemetry/settled.ts'
import type { Worker, WorkOptions } from '../engine.ts'
import type { Boss } from './boss.ts'
import { claim, type Held } from './claim.ts'
import { findDue } from './due.ts'
import { type Flight, Flights } from './flights.ts'
import { type Lost, recoverLost } from './heartbeat.ts'
import { Pace } from './pace.ts'
import { releaseHeld } from './release.ts'
import { setAside } from './set-aside.ts'
import { expired, handedBack, type Settlement, toSettlement } from './settle.ts'
import { Settler } from './settler.ts'
import { Ticker } from './ticker.ts'
import { keepUp } from './upkeep.ts'

const maxClaim = 500
const claimAheadMs = 200
const beatEveryMs = 3_000
const recoverEveryMs = 2_000
const releaseEveryMs = 1_000
const maintainEveryMs = 60_000
/** How long a stopping worker tries to hand back what is left; runs that do not heed their signal take 5 s of it. */
const settleWithinMs = 10_000
const pollMs = { listening: 1_000, deaf: 250 }

export interface WorkerDependencies {
  /** Where tasks run. */
  database: Database
  /** Where claims, settlements and heartbeats travel. */
  queue: Database
  boss: Boss
  retention: Retention
  /** Whether notifications arrive right now. */
  isListening(): boolean
  onStopped(worker: PgBossWorker): void
}

export class PgBossWorker implements Worker {
  readonly name = `${hostname()}:${process.pid}`
  readonly #options: WorkOptions
  readonly #dependencies: WorkerDependencies
  readonly #queue: Database
  readonly #logger: Logger
  readonly #tasks: ReadonlyMap<string, AnyTask>
  readonly #flights = new Flights()
  readonly #pace = new Pace()
  readonly #settler: Settler
  readonly #poller: Ticker
  readonly #beater: Ticker
  readonly #releaser: Ticker
  readonly #tickers: readonly Ticker[]

  /** Tasks that probably have due runs, in the order they will be asked. */
  readonly #hot = new Set<string>()
  /** Holds whose waiting runs are being set aside. */
  readonly #settingAside = new Map<string, Promise<void>>()
  /** Claimed ahead, waiting for a slot. */
  readonly #ahead: Flight[] = []
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
    this.#queue = dependencies.queue
    this.#logger = options.logger
    this.#tasks = new Map(options.tasks.map((task) => [task.id, task]))
    this.#settler = new Settler({
      queue: this.#queue,
      worker: this.name,
      logger: this.#logger,
      pace: this.#pace,
      onSettled: (settlement, ours) => this.#settled(settlement, ours),
    })
    const ticker = (what: string, everyMs: number, tick: () => Promise<number | undefined> | Promise<void>) =>
      new Ticker(tick, everyMs, (error) =>
        this.#logger.warn({ err: error }, `${what} failed; it is tried again`),
      )
    this.#poller = ticker('Looking for due runs', pollMs.deaf, () => this.#poll())
    this.#beater = ticker('The heartbeat', beatEveryMs, () => this.#flights.beat(this.#queue))
    this.#releaser = ticker('Letting held runs go', releaseEveryMs, () => releaseHeld(this.#queue))
    this.#tickers = [
      this.#poller,
      this.#beater,
      this.#releaser,
      ticker('Taking back lost runs', recoverEveryMs, () => this.#recover()),
      ticker('Maintenance', maintainEveryMs, () => this.#maintain()),
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

  /** Notifications may have been missed. */
  wakeAll(): void {
    this.#poller.soon()
  }

  /** A hold is over. */
  release(): void {
    this.#releaser.soon()
  }

  /** This run was cancelled, by us. */
  cancelled(runId: string): void {
    this.#flights.cancelled(runId)
  }

  /** Somebody says that this run was cancelled. Anybody may notify, so the table is asked. */
  askAbout(runId: string): void {
    if (this.#flights.has(runId)) this.#beater.soon()
  }

  stop({ timeoutMs = this.#options.stopTimeoutMs }: { timeoutMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#shutDown(timeoutMs)
    return this.#stopped
  }

  async #shutDown(timeoutMs: number): Promise<void> {
    this.#stopping = true
    this.#wakeUp()
    const deadline = setTimeout(() => this.#flights.stopAll(), timeoutMs)
    const end = setTimeout(() => this.#settler.giveUp(), timeoutMs + settleWithinMs)
    await this.#pumping
    for (const { claim: unstarted } of this.#ahead.splice(0)) this.#settler.add(handedBack(unstarted))
    await this.#flights.empty()
    clearTimeout(deadline)
    await this.#settler.drain()
    await Promise.all(this.#settingAside.values())
    clearTimeout(end)
    await Promise.all(this.#tickers.map((ticker) => ticker.stop()))
    this.#dependencies.onStopped(this)
  }

  async #pump(): Promise<void> {
    while (!this.#stopping) {
      this.#fillSlots()
      const room = this.#room()
      const taskId = room > 0 ? this.#nextHot() : undefined
      if (taskId === undefined) await this.#sleep()
      else await this.#claimFrom(this.#tasks.get(taskId)!, Math.min(room, maxClaim))
    }
  }

  async #claimFrom(task: AnyTask, wanted: number): Promise<void> {
    try {
      const { claims, held, runs } = await claim(this.#queue, task, wanted)
      // A full answer means that there is probably more; a short one that this was all.
      if (runs === wanted) this.#hot.add(task.id)
      for (const one of held) this.#setAside(one)
      for (const one of claims) {
        const flight = this.#flights.add(task, one)
        if (one.lapsed) this.#settler.add(expired(one))
        else this.#ahead.push(flight)
      }
    } catch (error) {
      this.#logger.warn({ err: error, task: task.id }, 'Claiming runs failed; it is tried again')
      this.#poller.soon(500)
    }
  }

  /** Once for each hold at a time: a claim has met one run of it, and there are probably more. */
  #setAside(held: Held): void {
    const key = `${held.tenantId} ${held.service}`
    if (this.#settingAside.has(key)) return
    const taskIds = [...this.#tasks.values()]
      .filter(({ services }) => (services as readonly string[]).includes(held.service))
      .map(({ id }) => id)
    const settingAside = setAside(this.#queue, taskIds, held)
      .then((runs) => {
        if (runs > 0) this.#logger.info({ ...held, runs }, 'Runs wait for a service that is held')
      })
      .catch((error) => this.#logger.warn({ err: error, ...held }, 'Setting runs aside failed'))
      .finally(() => this.#settingAside.delete(key))
    this.#settingAside.set(key, settingAside)
  }

  #fillSlots(): void {
    while (this.#ahead.length > 0 && this.#freeSlots() > 0) {
      this.#busy += 1
      void this.#run(this.#ahead.shift()!)
    }
  }

  async #run(flight: Flight): Promise<void> {
    const { task, claim: one, abort } = flight
    flight.startedAt = performance.now()
    const attempt = {
      runId: one.id,
      attempt: one.retryCount + 1,
      maxAttempts: one.retryLimit + 1,
      signal: abort.signal,
      trace: one.data.trace,
      waitedMs: one.waitedMs,
    }
    const { outcome, credentials } = await execute(task, one.data.payload, attempt, {
      database: this.#dependencies.database,
      dispatcher: this.#options.dispatcher,
      services: this.#options.services,
      logger: this.#logger,
      whileWaiting: (wait) => this.#withoutSlot(wait),
    })
    this.#busy -= 1
    this.#pace.finished()
    if (outcome.kind === 'abandoned') this.#flights.remove(one)
    else this.#settler.add(toSettlement(one, outcome, credentials))
    if (!this.#stopping) this.#fillSlots()
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

  #settled({ claim: one, kind, delayMs, heldBy }: Settlement, ours: boolean): void {
    const flight = this.#flights.of(one)
    if (flight && ours) {
      const durationMs = performance.now() - flight.startedAt
      const { id: runId, taskId, tenantId } = one
      this.#options.onSettled?.({
        runId,
        taskId,
        tenantId,
        attempt: one.retryCount + 1,
        outcome: kind,
        durationMs,
      })
    }
    this.#flights.remove(one)
    if (kind === 'retry' || kind === 'postponed') this.#poller.soon(delayMs)
    if (heldBy !== undefined && heldBy !== heldByTenant) {
      this.#setAside({ tenantId: one.tenantId, service: heldBy })
    }
    // A limited task may have had nothing to claim only because this run was in the way.
    if (flight?.task.perTenant != null) this.#hot.add(one.taskId)
    this.#wakeUp()
  }

  #freeSlots(): number {
    return this.#options.concurrency - this.#busy
  }

  /**
   * How many runs to claim now. Runs that are over but not settled may pile up to as many again as there are slots, so
   * a slow settle does not idle them. Claiming ahead waits until half of what is ahead has started: few large claims.
   */
  #room(): number {
    const slots = this.#options.concurrency
    const ahead = Math.min(maxClaim, this.#pace.within(claimAheadMs))
    if (this.#ahead.length > ahead / 2) return 0
    const unsettled = this.#flights.count - this.#waitingForChild - this.#ahead.length
    return Math.min(this.#freeSlots() + ahead - this.#ahead.length, 2 * (slots + ahead) - unsettled)
  }

  /** Tasks take turns. */
  #nextHot(): string | undefined {
    const [taskId] = this.#hot
    if (taskId !== undefined) this.#hot.delete(taskId)
    return taskId
  }

  async #sleep(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wakeUp = resolve
    })
  }

  async #poll(): Promise<number> {
    let nextInMs = this.#dependencies.isListening() ? pollMs.listening : pollMs.deaf
    for (const { taskId, inMs } of await findDue(this.#queue, [...this.#tasks.keys()])) {
      if (inMs <= 0) this.#hot.add(taskId)
      else nextInMs = Math.min(nextInMs, inMs + 1)
    }
    this.#wakeUp()
    return nextInMs
  }

  /** A worker that was frozen or cut off, and is back, first says so: its own runs are not lost. */
  async #recover(): Promise<void> {
    await this.#flights.beat(this.#queue)
    this.#tookBack(await recoverLost(this.#queue, [...this.#tasks.keys()]))
  }

  async #maintain(): Promise<void> {
    await this.#flights.beat(this.#queue)
    this.#tookBack(await keepUp(this.#queue, this.#dependencies.boss, this.#dependencies.retention))
  }

  #tookBack(lost: readonly Lost[]): void {
    recordLost(lost)
    if (lost.length > 0)
      this.#logger.warn({ runs: lost.length }, 'Took back runs of a worker that went silent')
  }
}
