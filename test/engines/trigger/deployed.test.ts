/** What Trigger.dev is told of each task, in figures: deploy:check compares both sides by the same code. */
import { resourceCatalog } from '@trigger.dev/core/v3'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
import { defineIn } from '../../fixtures/trigger/executor.ts'

test('a task with rules of its own', () => {
  const task = defineTask({
    id: 'deployed/limited',
    payload: tenantPayload({ text: z.string().optional() }),
    retry: { maxAttempts: 7, minDelay: '2s', maxDelay: '5m' },
    timeout: '10m',
    concurrency: { perTenant: 4 },
    run: () => null,
  })
  defineIn('tasks/index.trigger.ts', () => toTriggerTasks([task]))
  expect(resourceCatalog.getTaskManifest(task.id)).toMatchObject({
    id: 'deployed/limited',
    filePath: 'tasks/index.trigger.ts',
    // Runs wait for as long as they have to; where it says nothing, Trigger.dev gives them ten minutes in development.
    ttl: 0,
    retry: { maxAttempts: 7, minTimeoutInMs: 2_000, maxTimeoutInMs: 300_000, factor: 2, randomize: true },
    // Its timeout, and a day for all the executions of an attempt.
    maxDuration: 600 + 86_405,
    queue: { name: 'task/deployed/limited', concurrencyLimit: 4 },
    payloadSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['tenantId'] },
  })
  expect(resourceCatalog.listQueueManifests()).toContainEqual(
    expect.objectContaining({ name: 'task/deployed/limited', concurrencyLimit: 4 }),
  )
})

test('a task without: no queue but its own, the usual retries', () => {
  const task = defineTask({ id: 'deployed/plain', payload: tenantPayload({}), run: () => null })
  defineIn('tasks/index.trigger.ts', () => toTriggerTasks([task]))
  const manifest = resourceCatalog.getTaskManifest(task.id)
  expect(manifest).toMatchObject({ ttl: 0, retry: { maxAttempts: 3 } })
  expect(manifest?.queue).toBeUndefined()
})
