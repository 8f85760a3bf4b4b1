/** The SDK as an app brings it, with everything kept in memory. Import it before anything is triggered. */
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'

const spans = new InMemorySpanExporter()
const figures = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
// Collected when a test asks, not by the clock.
const reader = new PeriodicExportingMetricReader({ exporter: figures, exportIntervalMillis: 2 ** 30 })

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))

const appTracer = trace.getTracer('the app')

/** A trace of the app's own: its request handler, say. Answers its id. */
export async function inAppSpan(work: () => Promise<unknown>): Promise<string> {
  return await appTracer.startActiveSpan('GET /checkout', async (span) => {
    await work()
    span.end()
    return span.spanContext().traceId
  })
}

/** Those that have ended, in that order. */
export function spansOf(traceId: string): ReadableSpan[] {
  return spans.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId)
}

/** The only one of that name. */
export function spanOf(traceId: string, name: string): ReadableSpan {
  const [found, ...others] = spansOf(traceId).filter((span) => span.name === name)
  if (!found || others.length > 0) throw new Error(`There are ${others.length + 1} spans "${name}", or none.`)
  return found
}

export function allSpans(): ReadableSpan[] {
  return spans.getFinishedSpans()
}

export function forgetSpans(): void {
  spans.reset()
}

/** The figures of one instrument now, by the values of their attributes: `{ 'orders/x completed': 3 }`. */
export async function readFigures<Value = number>(name: string): Promise<Record<string, Value>> {
  figures.reset()
  await reader.forceFlush()
  const [collected] = figures.getMetrics()
  const metric = collected?.scopeMetrics
    .flatMap((scope) => scope.metrics)
    .find(({ descriptor }) => descriptor.name === name)
  const points = (metric?.dataPoints ?? []) as DataPoint<Value>[]
  return Object.fromEntries(
    points.map(({ attributes, value }) => [Object.values(attributes).join(' '), value] as const),
  )
}

/** `send a > process a > POST stripe`, from the root of the trace to the span. */
export function pathOf(span: ReadableSpan): string {
  const parentId = span.parentSpanContext?.spanId
  const parent = spans.getFinishedSpans().find((one) => one.spanContext().spanId === parentId)
  return parent ? `${pathOf(parent)} > ${span.name}` : span.name
}
