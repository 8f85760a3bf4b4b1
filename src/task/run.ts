/** A run as the platform speaks of it, the same on every engine. */
import type { TraceCarrier } from '../telemetry/trace-carrier.ts'
import type { JsonValue, RunError } from './json.ts'
import type { TriggerSettings } from './options.ts'

export const openStates = ['scheduled', 'held', 'queued', 'running', 'retrying'] as const
export const finalStates = ['completed', 'failed', 'cancelled', 'expired'] as const
export const runStates = [...openStates, ...finalStates] as const

export type FinalState = (typeof finalStates)[number]
export type RunState = (typeof runStates)[number]

export function isFinal(state: RunState): state is FinalState {
  return (finalStates as readonly RunState[]).includes(state)
}

export interface RunHandle {
  id: string
}

/** What `trigger` asks an engine for, once everything has been checked. */
export interface RunRequest extends TriggerSettings {
  /** Chosen by the platform, so that an answer lost on the way can be asked for again. */
  id: string
  taskId: string
  tenantId: string
  /** The UUID of the tenant's row, for its slug may be another tenant's one day. Trigger.dev's engine adds it. */
  organizationId?: string | undefined
  input: JsonValue
  parentRunId: string | null
  triggeredBy: TriggeredBy
  /** The run that this one does again. */
  replayOf: string | null
  /** Its id follows from what asks for it, which may ask again, also after the run has ended: it is that run then. */
  repeatable?: true
  /** Put there by the dispatcher. Who replays a run gives `{ follows }`, the old run's `traceparent`. */
  trace?: TraceCarrier
}

export const triggerKinds = ['app', 'schedule', 'replay', 'run'] as const
export type TriggerKind = (typeof triggerKinds)[number]

export interface TriggeredBy {
  kind: TriggerKind
  /** Which schedule, replay or run; of an app whatever it names, or null. */
  ref: string | null
}

export interface Run {
  id: string
  taskId: string
  tenantId: string
  state: RunState
  /** The attempt that runs or ran last; 0 before the first. */
  attempt: number
  /** 0 where nobody has said so far: a run that Trigger.dev's dashboard made and that has not begun. */
  maxAttempts: number
  priority: number
  tags: readonly string[]
  payload: JsonValue
  /** What `run` returned, once completed. */
  output: JsonValue
  /** Why the last attempt failed, or why the run is held. */
  error: RunError | null
  /** The failure group of that error. */
  fingerprint: string | null
  parentRunId: string | null
  triggeredBy: TriggeredBy
  replayOf: string | null
  idempotencyKey: string | null
  /** Of the span that triggered it, as W3C writes it: `00-<trace>-<span>-<flags>`. */
  traceparent: string | null
  createdAt: Date
  /** When it may start (again). */
  runAt: Date
  startedAt: Date | null
  finishedAt: Date | null
  /** Of the last attempt, once the run has ended. */
  worker: string | null
  /** By service, which version of the tenant's credential the last attempt worked with, once the run has ended. */
  credentials: Readonly<Record<string, string>>
}

/** A failed attempt. What a completed one did is on the run itself. */
export interface Attempt {
  attempt: number
  /** How the attempt ended: another try follows, none does, or its worker went silent. */
  result: 'retry' | 'failed' | 'lost'
  error: RunError
  fingerprint: string | null
  startedAt: Date
  finishedAt: Date
  worker: string
}

/** What `triggerAndWait` answers. */
export type RunResult<Output> =
  | { ok: true; id: string; output: Output }
  | { ok: false; id: string; state: Exclude<FinalState, 'completed'>; error: RunError | null }
