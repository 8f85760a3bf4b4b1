/** A worker of the inline engine: claims what is due, runs each on its own, settles it. */
import { performance } from 'node:perf_hooks'
import type { Database } from '../../db/database.ts'
import { WorkerStoppingError } from '../../errors.ts'
import type { AnyTask } from '../../task/define.ts'
import { execute } from '../../task/execute.ts'
import type { Clock } from '../clock.ts'
import type { SettledEvent, Worker, WorkOptions } from '../engine.ts'
import type { RunQueue } from './queue.ts'
import type { InlineRun } from './run.ts'

export interface WorkerDependencies {
  database: Database
  queue: RunQueue
  clock: Clock
  onStopped(worker: InlineWorker): void
}

export class InlineWorker implements Worker {
  readonly name = `inline:${process.pid}`
  readonly #options: WorkOptions
  readonly #dependencies: WorkerDependencies
  readonly #tasks: ReadonlyMap<string, AnyTask>
  readonly #inFlight = new Map<InlineRun, Promise<void>>()
  /** Slots in use. A run that waits for a child gives its slot back meanwhile. */
  #busy = 0
  #stopping = false
  #wakeUp: () => void = () => {}
  #pumping: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | null = null

  constructor(options: WorkOptions, dependencies: WorkerDependencies) {
    this.#options = options
    this.#dependencies = dependencies
    this.#tasks = new Map(options.tasks.map((task) => [task.id, task]))
  }

  start(): void {
    this.#pumping = this.#pump()
  }

  /** A run may have become due. */
  wake(): void {
    this.#wakeUp()
  }

  stop({ timeoutMs = this.#options.stopTimeoutMs }: { timeoutMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#shutDown(timeoutMs)
    return this.#stopped
  }

  async #shutDown(timeoutMs: number): Promise<void> {
    this.#stopping = true
    this.#wakeUp()
    await this.#pumping
    const deadline = setTimeout(() => {
      for (const { abort } of this.#inFlight.keys()) abort.abort(new WorkerStoppingError())
    }, timeoutMs)
    await Promise.all(this.#inFlight.values())
    clearTimeout(deadline)
    this.#dependencies.onStopped(this)
  }

  async #pump(): Promise<void> {
    const { queue } = this.#dependencies
    while (!this.#stopping) {
      const claimed = this.#busy < this.#options.concurrency ? queue.claim(this.#tasks) : null
      if (!claimed) await this.#untilWoken()
      else if ('expired' in claimed) this.#tell(claimed.expired, 'expired', 0)
      else this.#begin(claimed.task, claimed.run)
    }
  }

  async #untilWoken(): Promise<void> {
    const { queue, clock } = this.#dependencies
    const dueAt = queue.nextDueAt(this.#tasks)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wakeUp = resolve
    const callOff = Number.isFinite(dueAt) ? clock.alarm(dueAt, resolve) : () => {}
    await promise
    callOff()
  }

  #begin(task: AnyTask, run: InlineRun): void {
    this.#busy += 1
    const running = this.#run(task, run).finally(() => {
      this.#inFlight.delete(run)
      this.#busy -= 1
      this.#wakeUp()
    })
    this.#inFlight.set(run, running)
  }

  async #run(task: AnyTask, run: InlineRun): Promise<void> {
    const startedAt = performance.now()
    const { request, attempt, abort } = run
    const info = {
      runId: request.id,
      attempt,
      maxAttempts: request.maxAttempts,
      signal: abort.signal,
      trace: request.trace,
      waitedMs: run.startedAt! - run.startAt,
    }
    // A copy: an attempt that changes its payload must not change it for the next.
    const { outcome, credentials } = await execute(task, structuredClone(request.input), info, {
      database: this.#dependencies.database,
      dispatcher: this.#options.dispatcher,
      services: this.#options.services,
      logger: this.#options.logger,
      whileWaiting: (wait) => this.#withoutSlot(wait),
    })
    const settled = this.#dependencies.queue.settle(run, outcome, { worker: this.name, credentials })
    if (settled) this.#tell(run, settled, performance.now() - startedAt, attempt)
  }

  async #withoutSlot<T>(wait: () => Promise<T>): Promise<T> {
    this.#busy -= 1
    this.#wakeUp()
    try {
      return await wait()
    } finally {
      this.#busy += 1
    }
  }

  #tell({ request }: InlineRun, outcome: SettledEvent['outcome'], durationMs: number, attempt = 1): void {
    const { id: runId, taskId, tenantId } = request
    this.#options.onSettled?.({ runId, taskId, tenantId, attempt, outcome, durationMs })
  }
}
