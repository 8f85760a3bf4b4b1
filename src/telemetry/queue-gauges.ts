/**
 * What waits is not counted as it comes and goes, for others may have brought it: whoever works is asked when the figures
 * are collected. Several workers answer the same, so over processes it is the largest that counts, not the sum.
 */
import type { Meter, ObservableGauge } from '@opentelemetry/api'
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

export function observeQueues(
  meter: Meter,
  { queueAge, queueDepth, holds }: Record<'queueAge' | 'queueDepth' | 'holds', ObservableGauge>,
): void {
  meter.addBatchObservableCallback(
    async (result) => {
      await Promise.all(
        [...sources].map(async (source) => {
          for (const { taskId, depth, ageMs } of (await source.backlog?.()) ?? []) {
            result.observe(queueDepth, depth, { [taskAttribute]: taskId })
            result.observe(queueAge, ageMs / 1000, { [taskAttribute]: taskId })
          }
          for (const { service, tenant, holds: count } of (await source.countHolds?.()) ?? []) {
            result.observe(holds, count, { [serviceAttribute]: service, [tenantAttribute]: tenant })
          }
        }),
      )
    },
    [queueAge, queueDepth, holds],
  )
}
