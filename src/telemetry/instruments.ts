/**
 * What is measured. Figures go to the app's own MeterProvider, if it has made one global, and to those that were added
 * here (prometheus.ts). Without any, recording is a loop over instruments that do nothing.
 *
 * What is told by tenant is not told by task as well: 20 tasks, 4 outcomes and 100 tenants would be 8,000 series.
 */
import {
  type Counter,
  type Histogram,
  type MeterProvider,
  metrics,
  type ObservableGauge,
  type UpDownCounter,
  ValueType,
} from '@opentelemetry/api'
import { scopeName } from './attributes.ts'
import { observeQueues } from './queue-gauges.ts'

export interface Instruments {
  runsEnded: Counter
  runsLost: Counter
  runsInFlight: UpDownCounter
  attemptDuration: Histogram
  queueWait: Histogram
  tenantRunsEnded: Counter
  tenantTime: Counter
  callDuration: Histogram
  settleBatch: Histogram
  queueAge: ObservableGauge
  queueDepth: ObservableGauge
  holds: ObservableGauge
}

/** From what is over at once to what waits for a provider for minutes, in seconds. */
const durations = [0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30, 60, 300, 900, 3600]
const batches = [1, 2, 5, 10, 25, 50, 100, 250, 500]

const added = new Map<MeterProvider, Instruments>()
let ofApp: { provider: MeterProvider; instruments: Instruments } | undefined

/** `write` is called for each provider's instruments. */
export function record(write: (instruments: Instruments) => void): void {
  write(instrumentsOfApp())
  for (const instruments of added.values()) write(instruments)
}

/** It gets all figures from now on. Answers how to take it away again. */
export function addMeterProvider(provider: MeterProvider): () => void {
  added.set(provider, makeInstruments(provider))
  return () => {
    added.delete(provider)
  }
}

/** Looked up each time, for the API has no stand-in that an SDK which comes later takes over. */
function instrumentsOfApp(): Instruments {
  const provider = metrics.getMeterProvider()
  if (ofApp?.provider !== provider) ofApp = { provider, instruments: makeInstruments(provider) }
  return ofApp.instruments
}

function makeInstruments(provider: MeterProvider): Instruments {
  const meter = provider.getMeter(scopeName)
  const count = (name: string, description: string, unit = '{run}') =>
    meter.createCounter(name, { description, unit })
  const spread = (name: string, description: string, unit: string, buckets: number[]) =>
    meter.createHistogram(name, { description, unit, advice: { explicitBucketBoundaries: buckets } })
  const gauge = (name: string, description: string, unit: string) =>
    meter.createObservableGauge(name, { description, unit })

  const instruments: Instruments = {
    runsEnded: count('cgk.runs.ended', 'Runs that came to an end, by task and outcome'),
    runsLost: count('cgk.runs.lost', 'Attempts whose worker went silent, by task'),
    runsInFlight: meter.createUpDownCounter('cgk.runs.in_flight', {
      description: 'Attempts that this process is running, by task',
      unit: '{run}',
      valueType: ValueType.INT,
    }),
    attemptDuration: spread(
      'cgk.attempt.duration',
      'How long attempts took, by task and outcome',
      's',
      durations,
    ),
    queueWait: spread(
      'cgk.queue.wait',
      'How long runs were due before they were begun, by task',
      's',
      durations,
    ),
    tenantRunsEnded: count('cgk.tenant.runs.ended', 'Runs that came to an end, by tenant and outcome'),
    tenantTime: count('cgk.tenant.attempt.time', 'Time that attempts took, by tenant', 's'),
    callDuration: spread(
      'cgk.service.call.duration',
      'How long requests to providers took, by service and status',
      's',
      durations,
    ),
    settleBatch: spread('cgk.settle.batch', 'Runs that were settled by one statement', '{run}', batches),
    queueAge: gauge('cgk.queue.age', 'How long the run that has been due longest has waited, by task', 's'),
    queueDepth: gauge('cgk.queue.depth', 'Runs that are due and wait, by task', '{run}'),
    holds: gauge('cgk.holds', 'Services that are held, by service and tenant', '{hold}'),
  }
  const { queueAge, queueDepth, holds } = instruments
  observeQueues(meter, { queueAge, queueDepth, holds })
  return instruments
}
