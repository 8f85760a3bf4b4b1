/**
 * The Trigger.dev engine, the caller's side: triggers, reads and cancels runs through Trigger.dev's API. Trigger.dev
 * queues and runs them; what it runs is deploy.ts.
 */
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import type { Transaction } from '../../db/transaction.ts'
import { ConfigError, TriggerUnavailableError } from '../../errors.ts'
import type { CountFilter, RunCount } from '../../runs/counts.ts'
import { type Attempt, isFinal, type Run, type RunHandle, type RunRequest } from '../../task/run.ts'
import type { TenantWork } from '../../tenants/work.ts'
import {
  type Engine,
  type RunFilter,
  type RunPage,
  type Start,
  type Worker,
  workersElsewhere,
} from '../engine.ts'
import { type ApiOptions, TriggerApi } from './api.ts'
import { countRuns } from './count.ts'
import { Enqueuer } from './enqueue.ts'
import { KnownRuns } from './known-runs.ts'
import { RunReader } from './read.ts'
import { toDelay } from './request.ts'
import { countHeld, tenantsWithOpenRun, tenantWork } from './tenant-work.ts'

export interface TriggerEngineOptions extends ApiOptions {
  database: Database
  logger: Logger
}

export class TriggerEngine implements Engine {
  readonly name = 'trigger.dev'
  readonly enqueuesInTransaction = false
  /** A run costs a request each time, and Trigger.dev takes 1,500 in a minute. */
  readonly askedAtMostEveryMs = 5_000
  readonly tenantWork: TenantWork
  readonly #api: TriggerApi
  readonly #known = new KnownRuns()
  readonly #reader: RunReader
  readonly #enqueuer: Enqueuer

  constructor({ database, logger, ...options }: TriggerEngineOptions) {
    this.#api = new TriggerApi(options)
    this.#reader = new RunReader(this.#api, database, this.#known)
    this.#enqueuer = new Enqueuer({
      api: this.#api,
      reader: this.#reader,
      known: this.#known,
      database,
      logger,
    })
    this.tenantWork = tenantWork(this.#api, database, () => this.#enqueuer.settled())
  }

  /** Nothing of it is in the database, and an app that cannot reach Trigger.dev yet must start all the same. */
  async start(): Promise<void> {}

  enqueue(requests: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]> {
    return this.#enqueuer.enqueue(requests, transaction)
  }

  async get(runId: string): Promise<Run | null> {
    await this.#enqueuer.settled()
    return await this.#reader.get(runId)
  }

  async getMany(runIds: readonly string[]): Promise<Run[]> {
    await this.#enqueuer.settled()
    return await this.#reader.getMany(runIds)
  }

  async list(filter: RunFilter): Promise<RunPage> {
    await this.#enqueuer.settled()
    return await this.#reader.list(filter)
  }

  async counts(filter: CountFilter & { from: Date }): Promise<RunCount[]> {
    await this.#enqueuer.settled()
    return await countRuns(this.#api, filter)
  }

  attempts(runId: string): Promise<Attempt[]> {
    return this.#reader.attempts(runId)
  }

  /** Trigger.dev answers a cancel of a run that has ended as any other, so it is looked at before and after. */
  async cancel(runId: string): Promise<boolean> {
    const triggerId = await this.#triggerIdOf(runId, 'to cancel')
    if (triggerId === null) return false
    const before = await this.#reader.getByTriggerId(triggerId)
    if (!before || isFinal(before.state)) return false
    await this.#api.cancel(triggerId)
    const after = await this.#reader.getByTriggerId(triggerId)
    return after !== null && (after.state === 'cancelled' || !isFinal(after.state))
  }

  async reschedule(runId: string, start: Start): Promise<boolean> {
    const triggerId = await this.#triggerIdOf(runId, 'to reschedule')
    if (triggerId === null || (await this.#reader.getByTriggerId(triggerId))?.state !== 'scheduled')
      return false
    // It has no word for now, and takes a time that is over for one that is wrong.
    return await this.#api.reschedule(triggerId, toDelay(start) ?? '1s')
  }

  async tenantsWithOpenRun(taskId: string, tag: string, tenantIds: readonly string[]): Promise<string[]> {
    await this.#enqueuer.settled()
    return await tenantsWithOpenRun(this.#api, taskId, tag, tenantIds)
  }

  countHeld(tenantId: string, service: string): Promise<number> {
    return countHeld(this.#api, tenantId, service)
  }

  /** Trigger.dev shows its queues itself, and to ask it for all that waits would be one request for every task. */
  async backlog(): Promise<[]> {
    return []
  }

  /** What waits looks for itself (run.ts). */
  release(): void {}

  async work(): Promise<Worker> {
    throw new ConfigError(workersElsewhere)
  }

  /** Null: there is no such run. */
  async #triggerIdOf(runId: string, what: string): Promise<string | null> {
    await this.#enqueuer.settled()
    const triggerId = await this.#reader.findTriggerId(runId)
    if (triggerId === null && this.#known.unseen(runId)) throw notYetThere(runId, what)
    return triggerId
  }

  async close(): Promise<void> {
    await this.#enqueuer.close()
  }
}

function notYetThere(runId: string, what: string): TriggerUnavailableError {
  return new TriggerUnavailableError(
    `${what} run ${runId}`,
    'it has accepted the batch of this run and not yet made the run',
  )
}
