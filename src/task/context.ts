/** What a task's `run` gets beside its payload, and how code below it finds the run it belongs to. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Logger } from 'pino'
import type { Database } from '../db/database.ts'
import type { SqlTag } from '../db/statement.ts'
import type { ServiceClients, ServiceName } from '../services/registry.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { ProgressInput } from './progress.ts'
import type { RunServices } from './services.ts'

export interface TaskContext<Services extends ServiceName = never> {
  tenantId: string
  /** The tenant's own, an IANA name such as Europe/Berlin. */
  timezone: string
  runId: string
  /** 1 for the first. */
  attempt: number
  maxAttempts: number
  /** Statements of this tenant. */
  sql: SqlTag
  /** One transaction of this tenant; a task triggered inside it is queued with it or not at all. */
  transaction: Database['transaction']
  /** The tenant's client of each service that the task names, as its SDK's own class. */
  clients: Pick<ServiceClients, Services>
  /** Writes lines that carry task, tenant, run and attempt: to the process's log, and to the log of the run. */
  logger: Logger
  /**
   * Tells how far the run has come: a share from 0 to 1, `{ current, total, message? }`, or a text. The latest is kept;
   * it may be called as often as one likes. Throws InvalidProgressError.
   */
  progress(progress: ProgressInput): void
  /** Aborted on timeout, on cancel, and when this worker has lost the run. Pass it to whatever waits. */
  signal: AbortSignal
  /**
   * The same text on every attempt of this run and in no other run: for providers that take an idempotency key.
   * `label` tells several calls of one run apart.
   */
  idempotencyKey(label: string): string
}

/** The run that is executing, as the platform's own code below it needs to know it. */
export interface CurrentRun {
  runId: string
  tenantId: string
  signal: AbortSignal
  dispatcher: Dispatcher
  services: RunServices
  /** Gives the worker's slot to others while `wait` lasts: a run that waits for a child must not keep it from running. */
  whileWaiting<T>(wait: () => Promise<T>): Promise<T>
}

const runs = new AsyncLocalStorage<CurrentRun>()

export function currentRun(): CurrentRun | undefined {
  return runs.getStore()
}

export function insideRun<T>(run: CurrentRun, fn: () => T): T {
  return runs.run(run, fn)
}
