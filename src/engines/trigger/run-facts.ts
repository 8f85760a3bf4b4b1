/** What Trigger.dev does not tell of a run, in the metadata of the run, written when it is triggered. */
import type { RunRequest } from '../../task/run.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'

const factsKey = 'run'

export interface RunFacts {
  /** The platform's id of the run that triggered this one. */
  parent: string | null
  /** As the caller gave it; Trigger.dev is given a hash. */
  key: string | null
  priority: number
  maxAttempts: number
  trace: { [Field in keyof TraceCarrier]: TraceCarrier[Field] } | null
}

export function factsOf(request: RunRequest): { [factsKey]: { [Fact in keyof RunFacts]: RunFacts[Fact] } } {
  const { parentRunId: parent, idempotency, priority, maxAttempts, trace = null } = request
  return { [factsKey]: { parent, key: idempotency?.key ?? null, priority, maxAttempts, trace } }
}

/** A run that the dashboard made, or whose metadata somebody has replaced, has none. */
export function readFacts(metadata: Readonly<Record<string, unknown>> | undefined): RunFacts | null {
  const facts = metadata?.[factsKey]
  if (typeof facts !== 'object' || facts === null) return null
  const { parent, key, priority, maxAttempts, trace } = facts as Record<string, unknown>
  if (typeof priority !== 'number' || typeof maxAttempts !== 'number') return null
  return {
    parent: textOrNull(parent),
    key: textOrNull(key),
    priority,
    maxAttempts,
    trace: traceOrNull(trace),
  }
}

function traceOrNull(value: unknown): TraceCarrier | null {
  return typeof value === 'object' ? value : null
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
