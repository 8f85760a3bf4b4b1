/**
 * The span and the figures of one attempt, on every engine. Its parent is the span that triggered the run, however long
 * ago and in whatever process; where something else is active already (Trigger.dev's own span), it is linked.
 */
import {
  type Attributes,
  type Context,
  context,
  type Link,
  type Span,
  SpanKind,
  trace,
} from '@opentelemetry/api'
import {
  attemptAttribute,
  messagingSystem,
  outcomeAttribute,
  runAttribute,
  taskAttribute,
  tenantAttribute,
} from './attributes.ts'
import { record } from './instruments.ts'
import { type Failure, inSpan, tellFailure } from './span.ts'
import { tenantLabel } from './tenant-label.ts'
import { readTraceparent, type TraceCarrier } from './trace-carrier.ts'

export interface ObservedAttempt {
  taskId: string
  runId: string
  attempt: number
  trace?: TraceCarrier | undefined
  /** How long it was due before it was begun, in milliseconds. */
  waitedMs?: number | undefined
}

/** What came of it: an `error` is a failure, a `reason` is why it waits. */
interface Ended {
  kind: string
  error?: Failure
  reason?: Failure
}

export interface AttemptObserver {
  /** Whose run it is, once its payload has been read. */
  ofTenant(tenantId: string): void
}

/** `work` never throws. */
export async function observeAttempt<Executed extends { outcome: Ended }>(
  about: ObservedAttempt,
  work: (observer: AttemptObserver) => Promise<Executed>,
): Promise<Executed> {
  const { taskId, waitedMs } = about
  const ofTask = { [taskAttribute]: taskId }
  const startedAt = performance.now()
  let tenantId: string | undefined
  record(({ runsInFlight, queueWait }) => {
    runsInFlight.add(1, ofTask)
    if (waitedMs !== undefined) queueWait.record(Math.max(0, waitedMs) / 1000, ofTask)
  })
  const executed = await inSpan(
    `process ${taskId}`,
    { kind: SpanKind.CONSUMER, attributes: attributesOf(about), links: linksOf(about.trace) },
    async (span) => {
      const ended = await work({
        ofTenant: (id) => {
          tenantId = id
          span.setAttribute(tenantAttribute, id)
        },
      })
      tellOutcome(span, ended.outcome)
      return ended
    },
    parentOf(about.trace),
  )
  const seconds = (performance.now() - startedAt) / 1000
  record(({ runsInFlight, attemptDuration, tenantTime }) => {
    runsInFlight.add(-1, ofTask)
    attemptDuration.record(seconds, { ...ofTask, [outcomeAttribute]: executed.outcome.kind })
    if (tenantId !== undefined) tenantTime.add(seconds, { [tenantAttribute]: tenantLabel(tenantId) })
  })
  return executed
}

function attributesOf({ taskId, runId, attempt }: ObservedAttempt): Attributes {
  return {
    'messaging.system': messagingSystem,
    'messaging.operation.type': 'process',
    'messaging.operation.name': 'run',
    'messaging.destination.name': taskId,
    'messaging.message.id': runId,
    [taskAttribute]: taskId,
    [runAttribute]: runId,
    [attemptAttribute]: attempt,
  }
}

function parentOf(carried: TraceCarrier | undefined): Context {
  const remote = carried && readTraceparent(carried.traceparent, carried.tracestate)
  return remote ? trace.setSpanContext(context.active(), remote) : context.active()
}

function linksOf(carried: TraceCarrier | undefined): Link[] {
  if (!carried) return []
  const followed = readTraceparent(carried.follows)
  const surrounding = carried.traceparent === undefined ? undefined : trace.getActiveSpan()?.spanContext()
  return [followed, surrounding].flatMap((one) => (one ? [{ context: one }] : []))
}

/** Waiting is no failure: its reason is told and the span is fine. */
function tellOutcome(span: Span, { kind, error, reason }: Ended): void {
  span.setAttribute(outcomeAttribute, kind)
  if (error) tellFailure(span, error)
  if (reason) span.setAttribute('cgk.reason', reason.code ?? reason.name)
}
