/**
 * The contract of an engine: what queues and dispatches runs. Everything above it (tasks, runs, CLI) speaks to this
 * and never to pg-boss or Trigger.dev; one suite of behaviours in test/engines runs against every implementation.
 */
import type { Logger } from 'pino'
import type { Transaction } from '../db/transaction.ts'
import type { CountFilter, RunCount } from '../runs/counts.ts'
import type { AnyTask } from '../task/define.ts'
import type { Dispatcher } from '../task/dispatcher.ts'
import type { Attempt, Run, RunHandle, RunRequest, RunState, TriggerKind } from '../task/run.ts'
import type { ServiceAccess } from '../task/services.ts'
import type { Backlog } from '../telemetry/queue-gauges.ts'
import type { TenantWork } from '../tenants/work.ts'

export interface Engine {
  readonly name: 'pg-boss' | 'trigger.dev' | 'inline'
  /** Where reading a run is a request of its own: who waits for runs asks for each by itself, and no more often than this. */
  readonly askedAtMostEveryMs?: number
  /** Whether a run that is queued in a transaction commits with it; otherwise it is queued after the commit. */
  readonly enqueuesInTransaction: boolean
  /** A tenant's queued work, for suspending, resuming and deleting the tenant. */
  readonly tenantWork: TenantWork
  /** Makes what the engine needs in the database. Called once, before anything else. */
  start(): Promise<void>
  /**
   * Queues all or none and answers in the same order. With a transaction the runs exist when it commits, or never.
   * An idempotency key that is taken answers the run that has it. A request whose id has been queued before is that run.
   */
  enqueue(requests: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]>
  get(runId: string): Promise<Run | null>
  /** Those of these runs that exist, in any order. */
  getMany(runIds: readonly string[]): Promise<Run[]>
  list(filter: RunFilter): Promise<RunPage>
  /** By task, tenant and state; in any order. */
  counts(filter: CountFilter & { from: Date }): Promise<RunCount[]>
  /** Failed and lost attempts of a run, first to last. */
  attempts(runId: string): Promise<Attempt[]>
  /** Ends an open run; a running one gets its signal aborted. False: it was not open (any more). */
  cancel(runId: string): Promise<boolean>
  /** Another start for a run that waits for its first; what it may expire after moves along. False: it does not wait so. */
  reschedule(runId: string, start: Start): Promise<boolean>
  /** Those of the tenants that have an open run of the task with this tag. */
  tenantsWithOpenRun(taskId: string, tag: string, tenantIds: readonly string[]): Promise<string[]>
  /** How many runs of the tenant wait for this service. */
  countHeld(tenantId: string, service: string): Promise<number>
  /** What is due of these tasks; nothing where the engine has figures of its own. */
  backlog(taskIds: readonly string[]): Promise<Backlog[]>
  /** The hold on this service is over: what waited for it may go. */
  release(tenantId: string, service: string): void
  /** Starts running the given tasks in this process. */
  work(options: WorkOptions): Promise<Worker>
  /** What is to be done every minute or so, where no worker of ours does it. */
  keepUp?(): Promise<void>
  close(): Promise<void>
}

/** At `runAt`, or where that is null after `delayMs`, by the clock of the queue. */
export type Start = Pick<RunRequest, 'runAt' | 'delayMs'>

export interface RunFilter {
  tenantId?: string
  taskId?: string
  states?: readonly RunState[]
  tag?: string
  /** Created at this time or later. */
  from?: Date
  /** Created before this time. */
  to?: Date
  /** Failed, or to be tried again, for what this failure group stands for. */
  fingerprint?: string
  /** In the message of the error, in upper or lower case. */
  errorText?: string
  /** The beginning of the id: at least 4 of its hexadecimal digits. */
  idPrefix?: string
  triggeredBy?: { kind: TriggerKind; ref?: string }
  /** Replays of this run. */
  replayOf?: string
  /** Runs per page, 1 to 1000. */
  limit: number
  /** `next` of the page before. */
  after?: string
}

export interface RunPage {
  /** Newest first. */
  runs: Run[]
  /** Give it as `after` to get the next page; null on the last one. */
  next: string | null
}

export interface WorkOptions {
  tasks: readonly AnyTask[]
  /** Runs in flight at once. */
  concurrency: number
  /** How long `stop` waits for runs before it hands them back, in milliseconds, where it is not told otherwise. */
  stopTimeoutMs: number
  dispatcher: Dispatcher
  services: ServiceAccess
  logger: Logger
  /** Told of every attempt that has been settled. */
  onSettled?(event: SettledEvent): void
}

export interface SettledEvent {
  runId: string
  taskId: string
  tenantId: string
  attempt: number
  outcome: 'completed' | 'retry' | 'failed' | 'cancelled' | 'postponed' | 'held' | 'expired'
  durationMs: number
}

export interface Worker {
  /** A name for people: host and process. */
  readonly name: string
  /** Takes nothing new, waits for what runs, and hands back what is left when the time is over. */
  stop(options?: { timeoutMs?: number }): Promise<void>
}

/** Why no process of ours is a worker with that engine, and what to do. */
export const workersElsewhere =
  'With JOBS_ENGINE=trigger.dev, Trigger.dev runs the workers: deploy the tasks with `npx trigger.dev deploy`, or run them here with `npx trigger.dev dev`.'
