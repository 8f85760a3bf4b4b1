import { observeAttempt } from '../../src/telemetry/attempt-span.ts'
import { traceEnqueue } from '../../src/telemetry/enqueue-span.ts'
import { recordSettled } from '../../src/telemetry/settled.ts'
import type { Benchmark } from './measure.ts'

const runs = 200_000
const about = { taskId: 'orders/process-order', tenantId: 'rawdog' }
const outcome = { kind: 'completed' }

export const telemetry: Benchmark = {
  name: 'telemetry',
  question: 'what spans and figures add to a run where the app has no SDK of OpenTelemetry',
  unit: 'µs',
  targets: [],
  limits: [{ side: 'enqueue, attempt and settle, observed', atMost: 5 }],
  async prepare() {
    return {
      sides: {
        'enqueue, attempt and settle, observed': () => microseconds(observed),
        'the same functions, bare': () => microseconds(bare),
      },
      close: async () => {},
    }
  },
}

const enqueue = async () => [{ id: 'run' }]
const attempt = async () => ({ outcome })

async function observed(): Promise<void> {
  await traceEnqueue([about], enqueue)
  await observeAttempt({ ...about, runId: 'run', attempt: 1, waitedMs: 1 }, (observer) => {
    observer.ofTenant(about.tenantId)
    return attempt()
  })
  recordSettled({ ...about, outcome: outcome.kind })
}

async function bare(): Promise<void> {
  await enqueue()
  await attempt()
}

async function microseconds(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  for (let run = 0; run < runs; run += 1) await work()
  return ((performance.now() - startedAt) * 1_000) / runs
}
