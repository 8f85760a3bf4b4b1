/** What Trigger.dev does not tell of a run, in the metadata of the run, written when it is triggered. */
import { type RunRequest, type TriggeredBy, triggerKinds } from '../../task/run.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'
import { isUuid } from './run-id.ts'

export const factsKey = 'run'

export interface RunFacts {
  /** The platform's id of the run, where its tags do not tell (adopt.ts). */
  id: string | null
  /** The UUID of its tenant's row: whoever gets the same slug later has another. */
  organization: string | null
  /** What the payload calls its tenant, where the task's schema makes another text of that. */
  tenantAs: string | null
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
  const { tenantId, organizationId = null, parentRunId: parent, replayOf, idempotency } = request
  const given = tenantInPayload(request.input)
  const tenantAs = given === tenantId ? null : given
  const [by, key] = [{ ...request.triggeredBy }, idempotency?.key ?? null]
  const { priority, maxAttempts, trace = null } = request
  return {
    [factsKey]: {
      id: null,
      organization: organizationId,
      tenantAs,
      parent,
      by,
      replayOf,
      key,
      priority,
      maxAttempts,
      trace,
    },
  }
}

/** A run that the dashboard made, or whose metadata somebody has replaced, has none. */
export function readFacts(metadata: Readonly<Record<string, unknown>> | undefined): RunFacts | null {
  const facts = metadata?.[factsKey]
  if (typeof facts !== 'object' || facts === null) return null
  const { id, organization, tenantAs, parent, by, replayOf, key, priority, maxAttempts, trace } =
    facts as Record<string, unknown>
  if (typeof priority !== 'number' || typeof maxAttempts !== 'number') return null
  return {
    id: uuidOrNull(id),
    organization: uuidOrNull(organization),
    tenantAs: textOrNull(tenantAs),
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

/** Before it has been parsed, a payload may be anything. */
export function tenantInPayload(payload: unknown): string | null {
  const isObject = typeof payload === 'object' && payload !== null
  return isObject && 'tenantId' in payload ? textOrNull(payload.tenantId) : null
}

function uuidOrNull(value: unknown): string | null {
  return typeof value === 'string' && isUuid(value) ? value : null
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
