/** A run as the platform speaks of it, the same on every engine. */
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
  /** The UUID of the tenant's row, for its slug may be another tenant's one day. The platform adds it when it queues. */
  organizationId?: string | undefined
  input: JsonValue
  parentRunId: string | null
  /** The run that this one repeats. */
  replayOf: string | null
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
  parentRunId: string | null
  /** The run that this one repeats. */
  replayOf: string | null
  idempotencyKey: string | null
  createdAt: Date
  /** When it may start (again). */
  runAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

/** A failed attempt. What a completed one did is on the run itself. */
export interface Attempt {
  attempt: number
  /** How the attempt ended: another try follows, none does, or its worker went silent. */
  result: 'retry' | 'failed' | 'lost'
  error: RunError
  startedAt: Date
  finishedAt: Date
  worker: string
}

/** What `triggerAndWait` answers. */
export type RunResult<Output> =
  | { ok: true; id: string; output: Output }
  | { ok: false; id: string; state: Exclude<FinalState, 'completed'>; error: RunError | null }
