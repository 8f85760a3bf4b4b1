/** What holds cost the queue: nothing that grows with the backlog of who is held. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../../src/db/database.ts'
import { claim } from '../../../src/engines/pg-boss/claim.ts'
import { heldUntil } from '../../../src/engines/pg-boss/job.ts'
import { countHeld, releaseHeld } from '../../../src/engines/pg-boss/release.ts'
import { setAside } from '../../../src/engines/pg-boss/set-aside.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../../src/testing/index.ts'

const payload = tenantPayload({})
const run = () => null
const asks = defineTask({ id: 'plan/asks', payload, services: ['mux'], run })
const limited = defineTask({
  id: 'plan/limited',
  payload,
  services: ['mux'],
  concurrency: { perTenant: 2 },
  run,
})

let kit: TestPlatform
let queue: Database
beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [asks, limited] })
  queue = (await kit.platform.ready()).database
  // Makes the queues.
  await (await kit.platform.startWorker({ concurrency: 1 })).stop()
})
afterAll(() => kit.close())

/** Runs as they lie in the queue, without triggering each. */
async function lay(task: string, tenant: string, count: number, held = false): Promise<void> {
  await queue.query(
    `INSERT INTO pgboss.job (name, group_id, data, start_after, output)
     SELECT $1, $2, '{"payload":{}}', CASE WHEN $4 THEN '${heldUntil}' ELSE now() END,
       CASE WHEN $4 THEN '{"held":"mux"}'::jsonb END
     FROM generate_series(1, $3)`,
    [task, tenant, count, held],
  )
}

async function hold(tenant: string): Promise<void> {
  await queue.query(
    `INSERT INTO public.platform_holds (tenant_id, service, reason, code, message)
     VALUES ($1, 'mux', 'refused', 'unauthorized', 'No')`,
    [tenant],
  )
}

/** Milliseconds, and how often the whole table was read meanwhile. */
async function cost<T>(work: () => Promise<T>): Promise<{ answer: T; ms: number; scans: number }> {
  const scans = async () => {
    await queue.query('SELECT pg_stat_force_next_flush()')
    const { rows } = await queue.query<{ scans: number }>(
      "SELECT seq_scan::int AS scans FROM pg_stat_user_tables WHERE relid = 'pgboss.job_common'::regclass",
    )
    return rows[0]!.scans
  }
  const before = await scans()
  const startedAt = performance.now()
  const answer = await work()
  const ms = performance.now() - startedAt
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  return { answer, ms, scans: (await scans()) - before }
}

test('a tenant with 100,000 held runs costs the claims of the others nothing', async () => {
  await lay('plan/asks', 'whale', 100_000, true)
  await lay('plan/asks', 'whale', 5_000)
  await lay('plan/asks', 'minnow', 10)
  await hold('whale')
  const task = { id: asks.id, perTenant: null, services: asks.services }

  // The first claim meets the whale's due runs, sets those aside that it has met, and says so.
  const first = await cost(() => claim(queue, task, 100))
  expect(first).toMatchObject({
    answer: { claims: [], held: [{ tenantId: 'whale', service: 'mux' }], runs: 100 },
    scans: 0,
  })
  const rest = await cost(() => setAside(queue, [asks.id], { tenantId: 'whale', service: 'mux' }))
  expect(rest).toMatchObject({ answer: 4_900, scans: 0 })
  const next = await cost(() => claim(queue, task, 100))
  expect(next.answer.claims.map(({ tenantId }) => tenantId)).toEqual(Array(10).fill('minnow'))
  expect(next).toMatchObject({ answer: { held: [], runs: 10 }, scans: 0 })
  const count = await cost(() => countHeld(queue, 'whale', 'mux'))
  expect(count).toMatchObject({ answer: 105_000, scans: 0 })

  await queue.query("UPDATE public.platform_holds SET lifted_at = now() WHERE tenant_id = 'whale'")
  const portion = await cost(() => releaseHeld(queue))
  expect(portion).toMatchObject({ answer: 200, scans: 0 })
  expect(await countHeld(queue, 'whale', 'mux')).toBe(104_990)
  const times = { first, rest, next, count, portion }
  console.log(
    Object.entries(times)
      .map(([name, { ms }]) => `${name} ${ms.toFixed(1)} ms`)
      .join(', '),
  )
  expect(Math.max(first.ms, next.ms, portion.ms)).toBeLessThan(250)
}, 60_000)

test('a held tenant takes no room of a task that is limited per tenant', async () => {
  await lay('plan/limited', 'shark', 50)
  await lay('plan/limited', 'cod', 5)
  await hold('shark')
  const task = { id: limited.id, perTenant: 2, services: limited.services }
  const { claims, held, runs } = await claim(queue, task, 30)
  expect(claims.map(({ tenantId }) => tenantId)).toEqual(['cod', 'cod'])
  expect({ held, runs }).toEqual({ held: [{ tenantId: 'shark', service: 'mux' }], runs: 30 })
  expect(await setAside(queue, [asks.id, limited.id], { tenantId: 'shark', service: 'mux' })).toBe(22)
  expect(await claim(queue, task, 30)).toMatchObject({ claims: [], held: [] })
})

test('nothing is set aside for a hold that is over, and a hold without runs goes away', async () => {
  await lay('plan/asks', 'eel', 5)
  await hold('eel')
  await queue.query("UPDATE public.platform_holds SET until = now() WHERE tenant_id = 'eel'")
  expect(await setAside(queue, [asks.id], { tenantId: 'eel', service: 'mux' })).toBe(0)
  const { claims } = await claim(queue, { id: asks.id, perTenant: null, services: ['mux'] }, 100)
  expect(claims.filter(({ tenantId }) => tenantId === 'eel')).toHaveLength(5)
  await releaseHeld(queue)
  const { rows } = await queue.query("SELECT FROM public.platform_holds WHERE tenant_id = 'eel'")
  expect(rows).toEqual([])
})
