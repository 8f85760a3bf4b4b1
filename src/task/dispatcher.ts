/**
 * The seam between a task and the platform that will run it.
 *
 * A task is defined without any platform: importing it connects to nothing. When it is triggered, the platform is the
 * one whose run is executing right now, and otherwise the default one.
 */
import { currentRun } from './context.ts'
import type { JournaledRun, RunJournal } from './journal.ts'
import type { TaskRegistry } from './registry.ts'
import type { Run, RunHandle, RunRequest } from './run.ts'

export interface Dispatcher {
  readonly maxPayloadBytes: number
  /** Throws when the tenant is unknown or suspended. */
  admitTenant(tenantId: string): Promise<void>
  /** IANA name. */
  timezoneOf(tenantId: string): Promise<string>
  /** The tenant of the surrounding `withTenant`, or null. */
  currentTenant(): string | null
  /** Whether a surrounding `transaction()` is open. */
  insideTransaction(): boolean
  /** Queues all or none, in order; joins the surrounding `transaction()`. */
  enqueue(requests: readonly RunRequest[]): Promise<RunHandle[]>
  /** Answers when the run is in a final state. */
  waitFor(runId: string, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Run>
  /** Where the logs and the progress of a run are kept while it executes. */
  openJournal(run: JournaledRun): Promise<RunJournal>
  /** The tasks that can be triggered by id. */
  registry(): Promise<TaskRegistry>
}

let defaultDispatcher: (() => Dispatcher) | null = null

export function provideDispatcher(provide: () => Dispatcher): void {
  defaultDispatcher = provide
}

export function currentDispatcher(): Dispatcher {
  const dispatcher = currentRun()?.dispatcher ?? defaultDispatcher?.()
  if (!dispatcher)
    throw new Error('Import tasks through @cgk-platform/jobs: it provides the platform they run on.')
  return dispatcher
}
