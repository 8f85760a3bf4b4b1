/** What Trigger.dev does not tell of a run, in the metadata of the run, written when it is triggered. */
import { type RunRequest, type TriggeredBy, triggerKinds } from '../../task/run.ts'

const factsKey = 'run'

export interface RunFacts {
  /** The platform's id of the run that triggered this one. */
  parent: string | null
  by: { [Fact in keyof TriggeredBy]: TriggeredBy[Fact] }
  replayOf: string | null
  /** As the caller gave it; Trigger.dev is given a hash. */
  key: string | null
  priority: number
  maxAttempts: number
}

export function factsOf(request: RunRequest): { [factsKey]: { [Fact in keyof RunFacts]: RunFacts[Fact] } } {
  const { parentRunId: parent, triggeredBy: by, replayOf, idempotency, priority, maxAttempts } = request
  return {
    [factsKey]: { parent, by: { ...by }, replayOf, key: idempotency?.key ?? null, priority, maxAttempts },
  }
}

/** A run that the dashboard made, or whose metadata somebody has replaced, has none. */
export function readFacts(metadata: Readonly<Record<string, unknown>> | undefined): RunFacts | null {
  const facts = metadata?.[factsKey]
  if (typeof facts !== 'object' || facts === null) return null
  const { parent, by, replayOf, key, priority, maxAttempts } = facts as Record<string, unknown>
  if (typeof priority !== 'number' || typeof maxAttempts !== 'number') return null
  return {
    parent: textOrNull(parent),
    by: readTriggeredBy(by, textOrNull(parent)),
    replayOf: textOrNull(replayOf),
    key: textOrNull(key),
    priority,
    maxAttempts,
  }
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
