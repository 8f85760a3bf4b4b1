/**
 * The same figures for Prometheus, which comes for them. Whoever serves them imports this file when it begins to:
 * `await import('../telemetry/prometheus.ts')`; everybody else is spared the SDK.
 */
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { addMeterProvider } from './instruments.ts'

export interface PrometheusRegistry {
  /** Of the answer to Prometheus. */
  readonly contentType: string
  /** All figures as text; asks the queue what waits. */
  collect(): Promise<string>
  /** Nothing is recorded for it any more. */
  close(): Promise<void>
}

const collectWithinMs = 5_000

/** Counts from now on. One for a process is enough; each costs memory for its own series. */
export function createPrometheusRegistry(): PrometheusRegistry {
  const reader = new OnDemandReader()
  const provider = new MeterProvider({ readers: [reader] })
  const remove = addMeterProvider(provider)
  // No resource and no scope: a scrape is of one target, and a label that is the same on every line tells nothing.
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true)
  return {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    async collect() {
      // Where Postgres is away, what this process has counted itself is told all the same.
      const { resourceMetrics } = await reader.collect({ timeoutMillis: collectWithinMs })
      return serializer.serialize(resourceMetrics)
    },
    async close() {
      remove()
      await provider.shutdown()
    },
  }
}

class OnDemandReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}
