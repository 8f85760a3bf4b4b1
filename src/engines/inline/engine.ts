/**
 * The engine for tests of those who write tasks: runs live in the memory of this process, with the states and rules of
 * pg-boss and a clock that can be moved. Nothing runs before there is a worker. Tenants, and whatever tasks read and
 * write, are in a real database as always.
 *
 * Not for production: what is queued ends with the process.
 */
import type { Database } from '../../db/database.ts'
import { leaveScopes } from '../../db/scope.ts'
import type { Transaction } from '../../db/transaction.ts'
import { InvalidRunFilterError } from '../../errors.ts'
import type { CountFilter, RunCount } from '../../runs/counts.ts'
import { matches } from '../../runs/matches.ts'
import { heldByTenant } from '../../task/outcome.ts'
import type { Attempt, Run, RunHandle, RunRequest } from '../../task/run.ts'
import { addSource, type Backlog } from '../../telemetry/queue-gauges.ts'
import { recordSettled } from '../../telemetry/settled.ts'
import { outsideTraces } from '../../telemetry/span.ts'
import type { TenantWork } from '../../tenants/work.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Engine, RunFilter, RunPage, Start, Worker, WorkOptions } from '../engine.ts'
import { RunQueue } from './queue.ts'
import { toRun } from './run.ts'
import { InlineWorker } from './worker.ts'

export interface InlineEngineOptions {
  database: Database
  clock?: Clock | undefined
}

export class InlineEngine implements Engine {
  readonly name = 'inline'
  readonly enqueuesInTransaction = false
  readonly tenantWork: TenantWork
  readonly #database: Database
  readonly #clock: Clock
  readonly #queue: RunQueue
  readonly #workers = new Set<InlineWorker>()

  constructor({ database, clock = systemClock }: InlineEngineOptions) {
    this.#database = database
    this.#clock = clock
    this.#queue = new RunQueue(clock, () => this.#wakeWorkers())
    this.tenantWork = {
      countOpen: async (tenantId) => this.#queue.countOpen(tenantId),
      drop: async (tenantId) => this.#queue.drop(tenantId),
      release: async (tenantId) => this.#queue.release(tenantId, heldByTenant),
    }
  }

  async start(): Promise<void> {}

  async enqueue(requests: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]> {
    if (!transaction) return requests.map((request) => ({ id: this.#queue.add(request).request.id }))
    transaction.afterCommit(() => {
      for (const request of requests) this.#queue.add(request)
    })
    return requests.map((request) => ({ id: this.#queue.holderOf(request)?.request.id ?? request.id }))
  }

  async get(runId: string): Promise<Run | null> {
    return (await this.getMany([runId]))[0] ?? null
  }

  async getMany(runIds: readonly string[]): Promise<Run[]> {
    return runIds.flatMap((id) => {
      const run = this.#queue.get(id)
      return run ? [{ ...toRun(run, this.#queue.now), id }] : []
    })
  }

  async list(filter: RunFilter): Promise<RunPage> {
    const after = filter.after === undefined ? Number.POSITIVE_INFINITY : readCursor(filter.after)
    const found = this.#queue
      .all()
      .filter((run) => run.number < after)
      .map((run) => ({ number: run.number, run: toRun(run, this.#queue.now) }))
      .filter(({ run }) => matches(run, filter))
      .sort((one, other) => other.number - one.number)
    const page = found.slice(0, filter.limit)
    const last = page.at(-1)
    return {
      runs: page.map(({ run }) => run),
      next: last && found.length > filter.limit ? String(last.number) : null,
    }
  }

  /** Those that ended in the time asked for, and all that are open. */
  async counts({ from, to, ...filter }: CountFilter & { from: Date }): Promise<RunCount[]> {
    const counted = this.#queue
      .all()
      .map((run) => toRun(run, this.#queue.now))
      .filter((run) => matches(run, { ...filter, limit: 1 }))
      .filter(({ finishedAt: at }) => at === null || (at >= hourOf(from) && (!to || at < hourOf(to))))
    return [
      ...Map.groupBy(counted, ({ taskId, tenantId, state }) => [taskId, tenantId, state].join('\n')),
    ].map(([, same]) => {
      const { taskId, tenantId, state } = same[0]!
      return { taskId, tenantId, state, runs: same.length }
    })
  }

  async attempts(runId: string): Promise<Attempt[]> {
    return (this.#queue.get(runId)?.attempts ?? []).map((attempt) => ({ ...attempt }))
  }

  async cancel(runId: string): Promise<boolean> {
    const run = this.#queue.get(runId)
    const cancelled = this.#queue.cancel(runId)
    if (run && cancelled) recordSettled({ ...run.request, outcome: 'cancelled' })
    return cancelled
  }

  async reschedule(runId: string, start: Start): Promise<boolean> {
    return this.#queue.reschedule(runId, start)
  }

  async tenantsWithOpenRun(taskId: string, tag: string, tenantIds: readonly string[]): Promise<string[]> {
    return this.#queue.withOpenRun(taskId, tag, tenantIds)
  }

  async countHeld(tenantId: string, service: string): Promise<number> {
    return this.#queue.countHeld(tenantId, service)
  }

  async backlog(taskIds: readonly string[]): Promise<Backlog[]> {
    return this.#queue.backlog(taskIds)
  }

  release(tenantId: string, service: string): void {
    this.#queue.release(tenantId, service)
  }

  async work(options: WorkOptions): Promise<Worker> {
    const taskIds = options.tasks.map((task) => task.id)
    const endFigures = addSource({ backlog: () => this.backlog(taskIds) })
    const worker: InlineWorker = new InlineWorker(options, {
      database: this.#database,
      queue: this.#queue,
      clock: this.#clock,
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
  }

  #wakeWorkers(): void {
    for (const worker of this.#workers) worker.wake()
  }
}

function hourOf(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 3_600_000) * 3_600_000)
}

function readCursor(after: string): number {
  if (!/^\d{1,15}$/.test(after))
    throw new InvalidRunFilterError('`after` is not the `next` of a page of runs.')
  return Number(after)
}
