/** What the API answers, and what a registry says of its tasks. Types alone: nothing of the platform is loaded. */
import type { z } from 'zod'
import type { AnyTask, Task } from '../task/define.ts'
import type { RunError } from '../task/json.ts'
import type { TriggerOptions } from '../task/options.ts'
import type { RunState, TriggeredBy } from '../task/run.ts'

export type Registry = readonly AnyTask[]

/** The ids of the tasks of a registry. */
export type IdOf<Tasks extends Registry> = Tasks[number]['id']

/** What the task with this id takes. */
export type PayloadOf<Tasks extends Registry, Id extends IdOf<Tasks>> =
  Extract<Tasks[number], { id: Id }> extends Task<string, infer Schema, infer _Output>
    ? z.input<Schema>
    : never

export interface ClientBatchItem<Payload> {
  payload: Payload
  options?: TriggerOptions
}

/** A run. Times are ISO 8601 texts. */
export interface ClientRun {
  id: string
  taskId: string
  tenantId: string
  state: RunState
  /** The attempt that runs or ran last; 0 before the first. */
  attempt: number
  maxAttempts: number
  priority: number
  tags: string[]
  /** Without the scope `payload:read`, what its schema marks as pii or secret is masked. */
  payload: unknown
  /** What the task returned, once completed; masked without the scope `payload:read`. */
  output: unknown
  error: RunError | null
  fingerprint: string | null
  parentRunId: string | null
  triggeredBy: TriggeredBy
  replayOf: string | null
  idempotencyKey: string | null
  traceparent: string | null
  createdAt: string
  runAt: string
  startedAt: string | null
  finishedAt: string | null
  worker: string | null
  credentials: Record<string, string>
}

export interface ClientAttempt {
  attempt: number
  result: 'retry' | 'failed' | 'lost'
  error: RunError
  fingerprint: string | null
  startedAt: string
  finishedAt: string
  worker: string
}

export interface ClientProgress {
  attempt: number
  fraction: number | null
  current: number | null
  total: number | null
  message: string | null
  at: string
}

export interface ClientRunDetails extends ClientRun {
  /** Those that failed or were lost, first to last. */
  attempts: ClientAttempt[]
  progress: ClientProgress | null
}

export interface ClientRunPage {
  /** Newest first. */
  runs: ClientRun[]
  /** Give it as `after` to get the next page; null on the last one. */
  next: string | null
}

export interface ClientRunFilter {
  tenant?: string
  task?: string
  state?: RunState | readonly RunState[]
  tag?: string
  /** Created at this time or later. */
  from?: Date | string
  /** Created before this time. */
  to?: Date | string
  /** Failed for what this failure group stands for. */
  fingerprint?: string
  /** A text in the message of the error. */
  error?: string
  /** The beginning of the id: 4 hexadecimal digits or more. */
  id?: string
  /** `schedule`, or `schedule:digest/daily:default`. */
  triggeredBy?: string
  replayOf?: string
  /** 1 to 1000; 50 by default. */
  limit?: number
  after?: string
}

export interface ClientLogLine {
  /** Which of the run's lines it is, from 1. */
  seq: number
  attempt: number
  level: string
  at: string
  message: string
  fields: Record<string, unknown>
}

export interface ClientLogPage {
  /** Oldest first. */
  lines: ClientLogLine[]
  next: number | null
  /** How many lines the run has written; the newest are kept. */
  written: number
}
