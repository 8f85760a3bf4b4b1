/** The pg-boss engine: nothing but Postgres. Its parts are one file each; this is how they fit together. */
import type { Logger } from 'pino'
import { Database } from '../../db/database.ts'
import type { Listener } from '../../db/listener.ts'
import { leaveScopes } from '../../db/scope.ts'
import type { Transaction } from '../../db/transaction.ts'
import { MissingTenantContextError } from '../../errors.ts'
import { readAttempts } from '../../runs/attempts.ts'
import type { CountFilter, RunCount } from '../../runs/counts.ts'
import type { Retention } from '../../runs/retention.ts'
import type { Attempt, Run, RunHandle, RunRequest } from '../../task/run.ts'
import { addSource, type Backlog } from '../../telemetry/queue-gauges.ts'
import { outsideTraces } from '../../telemetry/span.ts'
import type { TenantWork } from '../../tenants/work.ts'
import type { Engine, RunFilter, RunPage, Start, Worker, WorkOptions } from '../engine.ts'
import { readBacklog } from './backlog.ts'
import { Boss, readyChannel } from './boss.ts'
import { cancelChannel, cancelRun } from './cancel.ts'
import { queueConnections } from './connections.ts'
import { countRuns } from './count.ts'
import { Enqueuer } from './enqueue.ts'
import { listRuns, readRuns, tenantsWithOpenRun } from './read.ts'
import { countHeld } from './release.ts'
import { rescheduleRun } from './reschedule.ts'
import { tenantWork } from './tenant-work.ts'
import { PgBossWorker } from './worker.ts'

export interface PgBossEngineOptions {
  url: string
  /** Where tasks run. */
  database: Database
  /** Opened with the first worker; an app that only triggers needs no connection for listening. */
  listener: Listener
  migrate: boolean
  retention: Retention
  logger: Logger
}

export class PgBossEngine implements Engine {
  readonly name = 'pg-boss'
  readonly enqueuesInTransaction = true
  readonly tenantWork: TenantWork
  readonly #database: Database
  readonly #queue: Database
  readonly #listener: Listener
  readonly #boss: Boss
  readonly #enqueuer: Enqueuer
  readonly #retention: Retention
  readonly #workers = new Set<PgBossWorker>()

  constructor(options: PgBossEngineOptions) {
    const { url, database, listener, migrate, logger } = options
    this.#database = database
    this.#listener = listener
    this.#retention = options.retention
    this.#queue = new Database({
      url,
      poolSize: queueConnections,
      applicationName: 'cgk queue',
      admit: () => Promise.reject(new MissingTenantContextError('The queue')),
      onIdleError: (error) => logger.warn({ err: error }, 'An idle queue connection broke; it is replaced'),
    })
    this.#boss = new Boss({ database: this.#queue, migrate, logger })
    this.#enqueuer = new Enqueuer(this.#queue, this.#boss)
    this.tenantWork = tenantWork(this.#queue)
    this.#listener
      .on(readyChannel, (taskId) => this.#eachWorker((worker) => worker.wake(taskId)))
      .on(cancelChannel, (runId) => this.#eachWorker((worker) => worker.askAbout(runId)))
      .onConnect(() => this.#eachWorker((worker) => worker.wakeAll()))
  }

  async start(): Promise<void> {
    await this.#boss.start()
  }

  enqueue(requests: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]> {
    return transaction ? this.#enqueuer.enqueueIn(transaction, requests) : this.#enqueuer.enqueue(requests)
  }

  async get(runId: string): Promise<Run | null> {
    return (await readRuns(this.#queue, [runId]))[0] ?? null
  }

  getMany(runIds: readonly string[]): Promise<Run[]> {
    return readRuns(this.#queue, runIds)
  }

  list(filter: RunFilter): Promise<RunPage> {
    return listRuns(this.#queue, filter)
  }

  counts(filter: CountFilter & { from: Date }): Promise<RunCount[]> {
    return countRuns(this.#queue, filter)
  }

  attempts(runId: string): Promise<Attempt[]> {
    return readAttempts(this.#queue, runId)
  }

  async cancel(runId: string): Promise<boolean> {
    const cancelled = await cancelRun(this.#queue, runId)
    // A worker of this process need not wait for the notification.
    if (cancelled) this.#eachWorker((worker) => worker.cancelled(runId))
    return cancelled
  }

  reschedule(runId: string, start: Start): Promise<boolean> {
    return rescheduleRun(this.#queue, runId, start)
  }

  tenantsWithOpenRun(taskId: string, tag: string, tenantIds: readonly string[]): Promise<string[]> {
    return tenantsWithOpenRun(this.#queue, taskId, tag, tenantIds)
  }

  countHeld(tenantId: string, service: string): Promise<number> {
    return countHeld(this.#queue, tenantId, service)
  }

  backlog(taskIds: readonly string[]): Promise<Backlog[]> {
    return readBacklog(this.#queue, taskIds)
  }

  release(): void {
    this.#eachWorker((worker) => worker.release())
  }

  async work(options: WorkOptions): Promise<Worker> {
    const taskIds = options.tasks.map((task) => task.id)
    await this.#boss.ensureQueues(taskIds)
    this.#listener.start()
    const endFigures = addSource({ backlog: () => this.backlog(taskIds) })
    const worker = new PgBossWorker(options, {
      database: this.#database,
      queue: this.#queue,
      boss: this.#boss,
      retention: this.#retention,
      isListening: () => this.#listener.connected,
      onStopped: (stopped) => {
        endFigures()
        this.#workers.delete(stopped)
      },
    })
    this.#workers.add(worker)
    // Its runs have contexts of their own, wherever the worker was started.
    leaveScopes(() => outsideTraces(() => worker.start()))
    return worker
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
    await this.#enqueuer.drain()
    await this.#boss.stop()
    await this.#queue.close()
  }

  #eachWorker(tell: (worker: PgBossWorker) => void): void {
    for (const worker of this.#workers) tell(worker)
  }
}
