/** A run that waits for long lets go of its platform; what it has promised before is not lost by that. */
import pg from 'pg'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { close } from '../../../src/default-platform.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { snooze } from '../../../src/task/snooze.ts'
import { createTestPlatform } from '../../../src/testing/index.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
import { defineIn, Executor } from '../../fixtures/trigger/executor.ts'
import { TriggerPlatform } from '../../fixtures/trigger/platform.ts'

const child = defineTask({ id: 'rest/child', payload: tenantPayload({}), run: () => null })
let calls = 0
const resting = defineTask({
  id: 'rest/resting',
  payload: tenantPayload({}),
  async run({ tenantId }, { transaction }) {
    calls += 1
    if (calls > 1) return
    await transaction(() => child.trigger({ tenantId }))
    snooze('10m')
  },
})
const kit = await createTestPlatform({ tasks: [] })
const cloud = await new TriggerPlatform().listen()

afterEach(() => vi.unstubAllEnvs())
afterAll(async () => {
  await close()
  await cloud.close()
  await kit.close()
})

test('what a transaction has promised is sent when the run goes on', async () => {
  const tenantId = await kit.tenant()
  vi.stubEnv('DATABASE_URL', kit.databaseUrl)
  vi.stubEnv('JOBS_LOG_LEVEL', 'silent')
  vi.stubEnv('TRIGGER_API_URL', cloud.url)
  vi.stubEnv('TRIGGER_SECRET_KEY', cloud.secretKey)
  await close()
  defineIn('tasks/index.trigger.ts', () => toTriggerTasks([resting, child]))
  const { run } = await cloud.store.add({
    taskId: resting.id,
    payload: JSON.stringify({ tenantId }),
    options: { tags: [`tenant:${tenantId}`] },
    batchId: null,
  })
  cloud.answerNext({ status: 503 }, { matches: ({ path }) => path.includes(encodeURIComponent(child.id)) })
  const executor = new Executor(cloud)
  const working = cloud.work({
    runAttempt: (...attempt) => executor.runAttempt(...attempt),
    isWanted: (taskId) => taskId === resting.id,
  })
  const children = () => cloud.store.all().filter(({ taskId }) => taskId === child.id)
  await vi.waitUntil(() => run.status === 'WAITING', { timeout: 10_000 })
  expect(children()).toEqual([])
  // For anybody who has the engine; here it is the same process, once it goes on.
  await vi.waitUntil(async () => (await dueOf(tenantId)) === 1, { timeout: 10_000 })
  cloud.advance(700_000)
  await vi.waitUntil(() => run.status === 'COMPLETED' && children().length === 1, { timeout: 20_000 })
  await working.stop()
})

async function dueOf(tenantId: string): Promise<number> {
  const client = new pg.Client(kit.databaseUrl)
  await client.connect()
  const text = 'SELECT FROM public.platform_trigger_runs WHERE tenant_id = $1 AND next_try_at <= now()'
  const { rowCount } = await client.query(text, [tenantId])
  await client.end()
  return rowCount ?? 0
}
