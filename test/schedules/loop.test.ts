/** Workers tick by themselves. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runs, startWorker } from '../../src/default-platform.ts'
import { ConfigError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

const ran: string[] = []
const everyMinute = defineTask({
  id: 'loop/minute',
  payload: tenantPayload({}),
  schedules: [{ cron: '* * * * *' }],
  run: ({ tenantId }) => {
    ran.push(tenantId)
  },
})

let kit: TestPlatform
beforeEach(async () => {
  kit = await createTestPlatform({ tasks: [everyMinute] })
  ran.length = 0
})
afterEach(() => kit.close())

async function until(reached: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!reached() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(reached()).toBe(true)
}

test('at the start of every minute, until it is stopped', async () => {
  const tenantId = await kit.tenant()
  await kit.tick()
  const worker = await startWorker()
  await kit.advance('1m')
  await until(() => ran.length === 1)
  await kit.advance('1m')
  await until(() => ran.length === 2)
  await worker.stop()
  await worker.stop()
  await kit.advance('5m')
  expect(ran).toEqual([tenantId, tenantId])
  expect((await runs.list({ tenantId })).runs).toHaveLength(2)
})

test('a failure is survived', async () => {
  await kit.tenant()
  await kit.tick()
  const { database } = await kit.platform.ready()
  await database.query('ALTER TABLE public.platform_schedule_ticks RENAME TO elsewhere')
  const worker = await startWorker()
  await kit.advance('1m')
  await database.query('ALTER TABLE public.elsewhere RENAME TO platform_schedule_ticks')
  await kit.advance('1m')
  await until(() => ran.length > 0)
  await worker.stop()
})

test('not where it is told not to, nor while a test drains', async () => {
  const tenantId = await kit.tenant()
  await kit.tick()
  const worker = await startWorker({ schedules: false })
  await kit.advance('1m')
  await kit.drain()
  expect((await runs.list({ tenantId })).runs).toEqual([])
  await worker.stop()
  await kit.tick()
  expect(await kit.drain()).toMatchObject({ completed: 1 })
  await expect(startWorker({ schedules: 'yes' as never })).rejects.toThrow(ConfigError)
})

test('closing the platform ends it', async () => {
  await startWorker()
  await kit.platform.close()
})
