/** What Prometheus is answered: by OpenTelemetry's own serializer, with figures since the registry was made. */
import { afterEach, expect, test } from 'vitest'
import { record } from '../../src/telemetry/instruments.ts'
import { createPrometheusRegistry, type PrometheusRegistry } from '../../src/telemetry/prometheus.ts'
import { addSource } from '../../src/telemetry/queue-gauges.ts'
import { recordSettled } from '../../src/telemetry/settled.ts'

const open: PrometheusRegistry[] = []
function registry(): PrometheusRegistry {
  const made = createPrometheusRegistry()
  open.push(made)
  return made
}
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

const settled = { taskId: 'orders/process-order', tenantId: 'rawdog', outcome: 'completed' }

test('counters, histograms and gauges, in the text format', async () => {
  const prometheus = registry()
  recordSettled(settled)
  recordSettled(settled)
  recordSettled({ ...settled, outcome: 'retry' })
  record(({ queueWait }) => queueWait.record(0.3, { 'cgk.task.id': settled.taskId }))
  const end = addSource({ backlog: async () => [{ taskId: settled.taskId, depth: 7, ageMs: 2_500 }] })
  const text = await prometheus.collect()
  end()
  expect(prometheus.contentType).toMatch(/^text\/plain; version=0\.0\.4/)
  const lines = text.split('\n')
  expect(lines).toContain('# TYPE cgk_runs_ended_total counter')
  expect(lines).toContain(
    'cgk_runs_ended_total{cgk_task_id="orders/process-order",cgk_outcome="completed"} 2',
  )
  expect(lines).toContain('cgk_tenant_runs_ended_total{cgk_tenant_id="rawdog",cgk_outcome="completed"} 2')
  expect(lines).toContain('cgk_queue_wait_bucket{cgk_task_id="orders/process-order",le="0.25"} 0')
  expect(lines).toContain('cgk_queue_wait_bucket{cgk_task_id="orders/process-order",le="1"} 1')
  expect(lines).toContain('cgk_queue_wait_count{cgk_task_id="orders/process-order"} 1')
  expect(lines).toContain('cgk_queue_depth{cgk_task_id="orders/process-order"} 7')
  expect(lines).toContain('cgk_queue_age{cgk_task_id="orders/process-order"} 2.5')
  expect(text).not.toContain('otel_scope')
})

test('whatever stands in a label stays in it', async () => {
  const prometheus = registry()
  recordSettled({ ...settled, taskId: 'a"} 1\nup{x="\\' })
  const lines = (await prometheus.collect()).split('\n')
  expect(lines).toContain(
    String.raw`cgk_runs_ended_total{cgk_task_id="a\"} 1\nup{x=\"\\",cgk_outcome="completed"} 1`,
  )
  expect(lines.filter((line) => line.startsWith('up'))).toEqual([])
})

test('a queue that cannot be asked takes away its own figures and no others', async () => {
  const prometheus = registry()
  recordSettled(settled)
  const end = addSource({ backlog: () => Promise.reject(new Error('Postgres is away')) })
  const text = await prometheus.collect()
  end()
  expect(text).toContain('cgk_runs_ended_total{')
  expect(text).not.toContain('cgk_queue_depth{')
})

test('one that is closed gets nothing more, and two count alike', async () => {
  const [one, other] = [registry(), registry()]
  recordSettled(settled)
  expect(await one.collect()).toBe(await other.collect())
  await one.close()
  recordSettled(settled)
  expect(await other.collect()).toContain('cgk_outcome="completed"} 2')
})
