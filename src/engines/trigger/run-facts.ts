/** What Trigger.dev does not tell of a run, in the metadata of the run, written when it is triggered. */
import { type RunRequest, type TriggeredBy, triggerKinds } from '../../task/run.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'

export const factsKey = 'run'

export interface RunFacts {
  /** The platform's id of the run, where its tags do not tell (adopt.ts). */
  id: string | null
  /** The platform's id of the run that triggered this one. */
  parent: string | null
  by: { [Fact in keyof TriggeredBy]: TriggeredBy[Fact] }
  /** The platform's id of the run that this one repeats. */
  replayOf: string | null
  /** As the caller gave it; Trigger.dev is given a hash. */
  key: string | null
  priority: number
  maxAttempts: number
  trace: { [Field in keyof TraceCarrier]: TraceCarrier[Field] } | null
}

export function factsOf(request: RunRequest): { [factsKey]: { [Fact in keyof RunFacts]: RunFacts[Fact] } } {
  const {
    parentRunId: parent,
    triggeredBy,
    replayOf,
    idempotency,
    priority,
    maxAttempts,
    trace = null,
  } = request
  const [by, key] = [{ ...triggeredBy }, idempotency?.key ?? null]
  return { [factsKey]: { id: null, parent, by, replayOf, key, priority, maxAttempts, trace } }
}

/** A run that the dashboard made, or whose metadata somebody has replaced, has none. */
export function readFacts(metadata: Readonly<Record<string, unknown>> | undefined): RunFacts | null {
  const facts = metadata?.[factsKey]
  if (typeof facts !== 'object' || facts === null) return null
  const { id, parent, by, replayOf, key, priority, maxAttempts, trace } = facts as Record<string, unknown>
  if (typeof priority !== 'number' || typeof maxAttempts !== 'number') return null
  return {
    id: textOrNull(id),
    parent: textOrNull(parent),
    by: readTriggeredBy(by, textOrNull(parent)),
    replayOf: textOrNull(replayOf),
    key: textOrNull(key),
    priority,
    maxAttempts,
    trace: traceOrNull(trace),
  }
}

function traceOrNull(value: unknown): TraceCarrier | null {
  return typeof value === 'object' ? value : null
}

/** A release that came before this knew only of parents. */
function readTriggeredBy(by: unknown, parent: string | null): TriggeredBy {
  const { kind, ref } = (by ?? {}) as { kind?: unknown; ref?: unknown }
  const known = triggerKinds.find((one) => one === kind)
  if (known) return { kind: known, ref: textOrNull(ref) }
  return parent === null ? { kind: 'app', ref: null } : { kind: 'run', ref: parent }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
