/** A trace over Trigger.dev: through its API and its executor, to the attempt in the run's process. */
import { afterEach, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { readFacts } from '../../../src/engines/trigger/run-facts.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
import { defineIn, Executor } from '../../fixtures/trigger/executor.ts'
import { allSpans, forgetSpans, inAppSpan, pathOf, readFigures, spanOf } from '../../telemetry/sdk.ts'
import { cloud, newTenant, onTriggerDev, stored } from './kit.ts'

const traced = defineTask({ id: 'together/traced', payload: tenantPayload({}), run: () => null })
defineIn('tasks/index.trigger.ts', () => toTriggerTasks([traced]))

onTriggerDev({ tasks: [traced] })
afterEach(forgetSpans)

async function drain(): Promise<void> {
  const { url, secretKey } = cloud
  const executor = new Executor({
    url,
    secretKey,
    waitpoint: (id) => cloud.waitpoint(id),
    waitForRun: (...run) => cloud.waitForRun(...run),
  })
  const working = cloud.work({
    runAttempt: (...attempt) => executor.runAttempt(...attempt),
    isWanted: (taskId) => taskId === traced.id,
  })
  while (cloud.store.unfinished().has(traced.id)) await new Promise((resolve) => setTimeout(resolve, 5))
  await working.stop()
}

test('the attempt hangs below the span that triggered it', async () => {
  const tenantId = await newTenant()
  let runId = ''
  const traceId = await inAppSpan(async () => {
    runId = (await traced.trigger({ tenantId })).id
  })
  await drain()
  const attempt = spanOf(traceId, 'process together/traced')
  expect(pathOf(attempt)).toBe('GET /checkout > send together/traced > process together/traced')
  expect(attempt.attributes).toMatchObject({ 'cgk.run.id': runId, 'cgk.outcome': 'completed' })
  expect((await runs.get(runId)).traceparent).toBe(readFacts(stored(runId).metadata)!.trace!.traceparent)
  expect(await readFigures('cgk.runs.ended')).toMatchObject({ 'together/traced completed': 1 })
})

test('a batch carries one trace; a run that was triggered elsewhere begins its own', async () => {
  const tenantId = await newTenant()
  const traceId = await inAppSpan(() =>
    traced.batchTrigger(Array.from({ length: 3 }, () => ({ payload: { tenantId } }))),
  )
  await cloud.store.add({
    taskId: traced.id,
    payload: JSON.stringify({ tenantId }),
    options: {},
    batchId: null,
  })
  await drain()
  const attempts = allSpans().filter(({ name }) => name === 'process together/traced')
  const ofBatch = attempts.filter((span) => span.spanContext().traceId === traceId)
  expect([attempts.length, ofBatch.length]).toEqual([4, 3])
})
