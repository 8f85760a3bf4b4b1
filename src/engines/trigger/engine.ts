/**
 * The Trigger.dev engine, the caller's side: triggers, reads and cancels runs through Trigger.dev's API. Trigger.dev
 * queues and runs them; what it runs is deploy.ts.
 */
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import type { Transaction } from '../../db/transaction.ts'
import { ConfigError, TriggerUnavailableError } from '../../errors.ts'
import type { CountFilter, RunCount } from '../../runs/counts.ts'
import type { Retention } from '../../runs/retention.ts'
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
import { Deliverer } from './deliver.ts'
import { Enqueuer } from './enqueue.ts'
import { Giver } from './give.ts'
import { KeyHolders } from './idempotency.ts'
import { type KeepingUp, keepUp } from './keep-up.ts'
import { KnownRuns } from './known-runs.ts'
import { Outbox } from './outbox.ts'
import { RunReader } from './read.ts'
import { toDelay } from './request.ts'
import { Sender } from './send.ts'
import { countHeld, tenantsWithOpenRun, tenantWork } from './tenant-work.ts'

export interface TriggerEngineOptions extends ApiOptions {
  database: Database
  logger: Logger
  retention: Retention
  /** The UUID of the tenant's row; undefined: there is no such tenant. */
  organizationOf(tenantId: string): Promise<string | undefined>
  sweepEveryMs?: number
}

export class TriggerEngine implements Engine {
  readonly name = 'trigger.dev'
  readonly enqueuesInTransaction = false
  /** A run costs a request each time, and Trigger.dev takes 1,500 in a minute. */
  readonly askedAtMostEveryMs = 5_000
  readonly tenantWork: TenantWork
  readonly #api: TriggerApi
  readonly #about: Pick<KeepingUp, 'database' | 'retention' | 'logger'>
  readonly #known: KnownRuns
  readonly #reader: RunReader
  readonly #deliverer: Deliverer
  readonly #enqueuer: Enqueuer

  constructor({
    database,
    logger,
    retention,
    organizationOf,
    sweepEveryMs,
    ...options
  }: TriggerEngineOptions) {
    const api = new TriggerApi(options)
    const outbox = new Outbox(database)
    this.#api = api
    this.#about = { database, retention, logger }
    this.#known = new KnownRuns(outbox)
    this.#reader = new RunReader(api, database, this.#known)
    const sender = new Sender(new KeyHolders(this.#reader, database))
    const giver = new Giver({ api, outbox, sender, known: this.#known, logger })
    this.#deliverer = new Deliverer({ outbox, giver, logger, sweepEveryMs })
    this.#enqueuer = new Enqueuer({ api, outbox, sender, giver, deliverer: this.#deliverer, organizationOf })
    this.tenantWork = tenantWork(api, database, outbox, () => this.#deliverer.settled())
  }

  /** An app that cannot reach Trigger.dev yet must start all the same: nothing of it is waited for. */
  async start(): Promise<void> {
    this.#deliverer.start()
  }

  enqueue(requests: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]> {
    return this.#enqueuer.enqueue(requests, transaction)
  }

  async get(runId: string): Promise<Run | null> {
    await this.#deliverer.settled()
    return await this.#reader.get(runId)
  }

  async getMany(runIds: readonly string[]): Promise<Run[]> {
    await this.#deliverer.settled()
    return await this.#reader.getMany(runIds)
  }

  async list(filter: RunFilter): Promise<RunPage> {
    await this.#deliverer.settled()
    return await this.#reader.list(filter)
  }

  async counts(filter: CountFilter & { from: Date }): Promise<RunCount[]> {
    await this.#deliverer.settled()
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
    await this.#deliverer.settled()
    return await tenantsWithOpenRun(this.#api, taskId, tag, tenantIds)
  }

  countHeld(tenantId: string, service: string): Promise<number> {
    return countHeld(this.#api, tenantId, service)
  }

  /** Trigger.dev shows its queues itself, and to ask it for all that waits would be one request for every task. */
  async backlog(): Promise<[]> {
    return []
  }

  async keepUp(): Promise<void> {
    await keepUp({ ...this.#about, api: this.#api, reader: this.#reader })
  }

  /** What waits looks for itself (run.ts). */
  release(): void {}

  async work(): Promise<Worker> {
    throw new ConfigError(workersElsewhere)
  }

  /** Null: there is no such run. */
  async #triggerIdOf(runId: string, what: string): Promise<string | null> {
    await this.#deliverer.settled()
    const triggerId = await this.#reader.findTriggerId(runId)
    if (triggerId !== null) return triggerId
    const unseen = await this.#known.unseen(runId)
    if (unseen && !isFinal(unseen.state)) throw notYetThere(runId, what)
    return null
  }

  async close(): Promise<void> {
    await this.#deliverer.close()
  }
}

function notYetThere(runId: string, what: string): TriggerUnavailableError {
  return new TriggerUnavailableError(
    `${what} run ${runId}`,
    'it has not got this run yet, or got it in a batch and not yet made the run',
  )
}
