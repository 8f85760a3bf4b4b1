/** Schedules on Trigger.dev: its own scheduled task ticks, through its real executor, and runs go out in batches. */
import { expect, test } from 'vitest'
import { failures, sql } from '../../../src/default-platform.ts'
import { factsKey } from '../../../src/engines/trigger/run-facts.ts'
import { tickTaskId } from '../../../src/engines/trigger/tick.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
import { executionOf } from '../../fixtures/trigger/execution.ts'
import { defineIn, Executor } from '../../fixtures/trigger/executor.ts'
import { cloud, newTenant, onTriggerDev, storedOf } from './kit.ts'

const ticked = defineTask({
  id: 'trigger-test/ticked',
  payload: tenantPayload({}),
  schedules: [{ cron: '0 0 1 1 *' }],
  run: () => null,
})
defineIn('tasks/index.trigger.ts', () => toTriggerTasks([ticked]))

onTriggerDev({ tasks: [ticked] })

async function tick(): Promise<void> {
  const executor = new Executor({
    url: cloud.url,
    secretKey: cloud.secretKey,
    waitpoint: (id) => cloud.waitpoint(id),
    waitForRun: (...run) => cloud.waitForRun(...run),
  })
  const timestamp = new Date()
  const payload = { type: 'DECLARATIVE', scheduleId: 'sched_1', timezone: 'UTC', timestamp, upcoming: [] }
  const result = await executor.runAttempt(
    tickTaskId,
    executionOf(tickTaskId, payload, { runId: null }),
    new AbortController().signal,
  )
  expect(result).toMatchObject({ ok: true })
}

/** As if nothing had ticked for a year. */
async function aYearLater(): Promise<void> {
  await sql`UPDATE public.organizations SET active_since = now() - interval '900 days'`
  await sql`UPDATE public.platform_schedule_progress SET planned_until = now() - interval '400 days'`
}

test('one run for each tenant, in one batch; what is handed out again is the same run', async () => {
  const tenants = [await newTenant(), await newTenant()]
  await tick()
  await aYearLater()
  cloud.requests.length = 0
  await tick()
  const sent = cloud.requests.filter(({ method }) => method === 'POST').map(({ path }) => path)
  expect(sent.filter((path) => path.endsWith('/batches'))).toHaveLength(1)
  expect(sent.filter((path) => path.endsWith('/trigger'))).toEqual([])
  for (const tenantId of tenants) {
    const { rows } = await sql<{ id: string }>`SELECT id FROM public.organizations WHERE slug = ${tenantId}`
    expect(storedOf(tenantId)).toMatchObject([
      {
        tags: expect.arrayContaining(['schedule:default']),
        metadata: { [factsKey]: { organization: rows[0]!.id } },
      },
    ])
  }

  // The process died before it could note what it had sent.
  await sql`UPDATE public.platform_schedule_ticks SET after_tenant = '', finished_at = NULL`
  await tick()
  for (const tenantId of tenants) expect(storedOf(tenantId)).toHaveLength(1)
})

test('a tick also puts on record what Trigger.dev has ended by itself', async () => {
  const tenantId = await newTenant()
  const { id } = await ticked.trigger({ tenantId })
  Object.assign(storedOf(tenantId)[0]!, { startedAt: cloud.store.now, attemptCount: 1 })
  cloud.store.end(storedOf(tenantId)[0]!, 'CRASHED')
  await tick()
  expect((await failures.list({ tenantId })).groups).toMatchObject([
    { errorCode: 'CRASHED', last: { runId: id } },
  ])
})
