/** The pg-boss engine: nothing but Postgres. Its parts are one file each; this is how they fit together. */
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import type { Listener } from '../../db/listener.ts'
import type { Transaction } from '../../db/transaction.ts'
import type { Attempt, Run, RunHandle, RunRequest } from '../../task/run.ts'
import type { TenantWork } from '../../tenants/work.ts'
import type { Engine, RunFilter, RunPage, WorkOptions, Worker } from '../engine.ts'
import { Boss, readyChannel } from './boss.ts'
import { cancelChannel, cancelRun } from './cancel.ts'
import { Enqueuer } from './enqueue.ts'
import { listRuns, readAttempts, readRuns } from './read.ts'
import { tenantWork } from './tenant-work.ts'
import { PgBossWorker } from './worker.ts'

export interface PgBossEngineOptions {
  database: Database
  /** Opened with the first worker; an app that only triggers needs no connection for listening. */
  listener: Listener
  migrate: boolean
  logger: Logger
}

export class PgBossEngine implements Engine {
  readonly name = 'pg-boss'
  readonly tenantWork: TenantWork
  readonly #database: Database
  readonly #listener: Listener
  readonly #boss: Boss
  readonly #enqueuer: Enqueuer
  readonly #workers = new Set<PgBossWorker>()

  constructor(options: PgBossEngineOptions) {
    this.#database = options.database
    this.#listener = options.listener
    this.#boss = new Boss(options)
    this.#enqueuer = new Enqueuer(options.database, this.#boss)
    this.tenantWork = tenantWork(options.database)
    this.#listener
      .on(readyChannel, (taskId) => this.#eachWorker((worker) => worker.wake(taskId)))
      .on(cancelChannel, (runId) => this.#eachWorker((worker) => worker.cancelled(runId)))
      .onConnect(() => this.#eachWorker((worker) => worker.wakeAll()))
  }

  async start(): Promise<void> {
    await this.#boss.start()
  }

  enqueue(requests: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]> {
    return transaction ? this.#enqueuer.enqueueIn(transaction, requests) : this.#enqueuer.enqueue(requests)
  }

  async get(runId: string): Promise<Run | null> {
    return (await readRuns(this.#database, [runId]))[0] ?? null
  }

  getMany(runIds: readonly string[]): Promise<Run[]> {
    return readRuns(this.#database, runIds)
  }

  list(filter: RunFilter): Promise<RunPage> {
    return listRuns(this.#database, filter)
  }

  attempts(runId: string): Promise<Attempt[]> {
    return readAttempts(this.#database, runId)
  }

  async cancel(runId: string): Promise<boolean> {
    const cancelled = await cancelRun(this.#database, runId)
    // A worker of this process need not wait for the notification.
    if (cancelled) this.#eachWorker((worker) => worker.cancelled(runId))
    return cancelled
  }

  async work(options: WorkOptions): Promise<Worker> {
    await this.#boss.ensureQueues(options.tasks.map((task) => task.id))
    this.#listener.start()
    const worker = new PgBossWorker(options, {
      database: this.#database,
      boss: this.#boss,
      isListening: () => this.#listener.connected,
      onStopped: (stopped) => this.#workers.delete(stopped),
    })
    this.#workers.add(worker)
    worker.start()
    return worker
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
    await this.#enqueuer.drain()
    await this.#boss.stop()
  }

  #eachWorker(tell: (worker: PgBossWorker) => void): void {
    for (const worker of this.#workers) tell(worker)
  }
}
