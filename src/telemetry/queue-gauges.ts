/**
 * What waits is not counted as it comes and goes, for others may have brought it: whoever works is asked when the figures
 * are collected. Several workers answer the same, so over processes it is the largest that counts, not the sum.
 */
import type { Attributes, Meter, ObservableGauge } from '@opentelemetry/api'
import { serviceAttribute, taskAttribute, tenantAttribute } from './attributes.ts'

export interface Backlog {
  taskId: string
  /** Runs that are due. */
  depth: number
  /** How long the oldest of them has been due, in milliseconds. */
  ageMs: number
}

export interface HoldCount {
  service: string
  /** As labelled: a tenant, or `other`. */
  tenant: string
  holds: number
}

export interface QueueSource {
  /** For every task that is worked on, also where nothing waits. */
  backlog(): Promise<readonly Backlog[]>
}

export interface HoldSource {
  countHolds(): Promise<readonly HoldCount[]>
}

const sources = new Set<Partial<QueueSource & HoldSource>>()

/** It is asked whenever figures are collected. Answers how to end that. */
export function addSource(source: QueueSource | HoldSource): () => void {
  sources.add(source)
  return () => {
    sources.delete(source)
  }
}

interface Gauges {
  queueAge: ObservableGauge
  queueDepth: ObservableGauge
  holds: ObservableGauge
}

interface Figure {
  gauge: ObservableGauge
  value: number
  attributes: Attributes
}

/**
 * The SDK repeats the last figure of a series until it is told another one, so what is over has to be told once more, as
 * 0. When a source cannot be asked nothing is told, for nobody knows that anything is over.
 */
export function observeQueues(meter: Meter, gauges: Gauges): void {
  let told = new Map<string, Figure>()
  meter.addBatchObservableCallback(
    async (result) => {
      const figures = await Promise.all([...sources].map((source) => figuresOf(source, gauges)))
      const over = [...told.values()].map((figure) => ({ ...figure, value: 0 }))
      told = new Map([...over, ...figures.flat()].map((figure) => [seriesOf(figure, gauges), figure]))
      for (const { gauge, value, attributes } of told.values()) result.observe(gauge, value, attributes)
    },
    [gauges.queueAge, gauges.queueDepth, gauges.holds],
  )
}

async function figuresOf(source: Partial<QueueSource & HoldSource>, gauges: Gauges): Promise<Figure[]> {
  const { queueAge, queueDepth, holds } = gauges
  const [waiting = [], held = []] = await Promise.all([source.backlog?.(), source.countHolds?.()])
  return [
    ...waiting.flatMap(({ taskId, depth, ageMs }) => {
      const attributes = { [taskAttribute]: taskId }
      return [
        { gauge: queueDepth, value: depth, attributes },
        { gauge: queueAge, value: ageMs / 1000, attributes },
      ]
    }),
    ...held.map(({ service, tenant, holds: value }) => ({
      gauge: holds,
      value,
      attributes: { [serviceAttribute]: service, [tenantAttribute]: tenant },
    })),
  ]
}

function seriesOf({ gauge, attributes }: Figure, gauges: Gauges): string {
  return JSON.stringify([Object.values(gauges).indexOf(gauge), attributes])
}
