/**
 * How a trace travels with a run through a queue: as W3C Trace Context, whatever propagator the app has chosen for its
 * HTTP requests, and nothing else. Baggage stays behind: it may hold anything, and a queue keeps it for months.
 */
import { createTraceState, isSpanContextValid, type SpanContext, trace } from '@opentelemetry/api'

export interface TraceCarrier {
  /** `00-<trace>-<span>-<flags>`: the span that triggered the run. */
  traceparent?: string
  tracestate?: string
  /** The `traceparent` of the run that this one replays. */
  follows?: string
}

/** What the specification asks everybody to pass on; vendors write less. */
const longestTracestate = 512

/** The span that is active now. Undefined: there is none. */
export function currentTrace(): TraceCarrier | undefined {
  const span = trace.getActiveSpan()?.spanContext()
  if (!span || !isSpanContextValid(span)) return undefined
  const traceparent = toTraceparent(span)
  const tracestate = span.traceState?.serialize()
  return tracestate && tracestate.length <= longestTracestate ? { traceparent, tracestate } : { traceparent }
}

/** Null: nothing was carried, or what somebody has written there is none. */
export function readTraceparent(traceparent: unknown, tracestate?: unknown): SpanContext | null {
  if (typeof traceparent !== 'string') return null
  const [, traceId = '', spanId = '', flags = ''] = form.exec(traceparent) ?? []
  const span: SpanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  if (!isSpanContextValid(span)) return null
  return typeof tracestate === 'string' ? { ...span, traceState: createTraceState(tracestate) } : span
}

const form = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

function toTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}
