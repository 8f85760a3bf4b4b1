/** What is counted and measured, collected by OpenTelemetry's own SDK. */
import type { Histogram } from '@opentelemetry/sdk-metrics'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { runs, setCredential } from '../../src/default-platform.ts'
import { AbortTaskError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { limitTenantLabels } from '../../src/telemetry/tenant-label.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/platform.ts'
import { StripeServer } from '../fixtures/providers/stripe.ts'
import { readFigures } from './sdk.ts'

const secretKey = 'sk_test_figures0123456789'

describe.each(['pg-boss', 'inline'] as const)('on %s', (engine) => {
  const work = defineTask({
    id: `${engine}/work`,
    payload: tenantPayload({ how: z.enum(['well', 'badly', 'again']).default('well') }),
    retry: { maxAttempts: 2 },
    run: ({ how }) => {
      if (how === 'badly') throw new AbortTaskError('badly')
      if (how === 'again') throw new Error('again')
    },
  })
  const idle = defineTask({ id: `${engine}/idle`, payload: tenantPayload({}), run: () => null })
  const charge = defineTask({
    id: `${engine}/charge`,
    payload: tenantPayload({}),
    services: ['stripe'],
    run: async (_, { clients }) => (await clients.stripe.balance.retrieve()).object,
  })

  let platform: TestPlatform
  let stripe: StripeServer
  let tenantId: string
  beforeAll(async () => {
    stripe = await new StripeServer(secretKey).listen()
    platform = await createTestPlatform({
      engine,
      tasks: [work, idle, charge],
      services: { stripe: { baseUrl: stripe.url } },
      encryptionKeys: 'b'.repeat(64),
    })
    tenantId = await platform.tenant()
  })
  afterAll(async () => {
    await platform.close()
    await stripe.close()
  })

  test('runs that ended, by task and outcome and by tenant; attempts, by how they went', async () => {
    for (const how of ['well', 'well', 'badly', 'again'] as const) await work.trigger({ tenantId, how })
    const { id } = await work.trigger({ tenantId }, { delay: '1d' })
    await work.trigger({ tenantId }, { delay: '1h', ttl: '1s' })
    await platform.drain()
    await platform.advance('2h')
    await platform.drain()
    await runs.cancel(id)

    const [ended, byTenant, took, inFlight] = [
      await readFigures('cgk.runs.ended'),
      await readFigures('cgk.tenant.runs.ended'),
      await readFigures<Histogram>('cgk.attempt.duration'),
      await readFigures('cgk.runs.in_flight'),
    ]
    const ofTask = { completed: 2, failed: 2, expired: 1, cancelled: 1 }
    for (const [outcome, count] of Object.entries(ofTask)) {
      expect(ended[`${work.id} ${outcome}`]).toBe(count)
      expect(byTenant[`${tenantId} ${outcome}`]).toBe(count)
    }
    expect(took[`${work.id} completed`]!.count).toBe(2)
    expect(took[`${work.id} retry`]!.count).toBe(1)
    expect(took[`${work.id} failed`]!.count).toBe(2)
    expect(inFlight[work.id]).toBe(0)
    const time = await readFigures('cgk.tenant.attempt.time')
    expect(time[tenantId]).toBeGreaterThan(0)
  })

  test('how long runs were due before they were begun; a delay is no waiting', async () => {
    const before = (await readFigures<Histogram>('cgk.queue.wait'))[work.id]
    await work.trigger({ tenantId }, { delay: '1h' })
    await platform.advance('61m')
    await platform.drain()
    const after = (await readFigures<Histogram>('cgk.queue.wait'))[work.id]!
    expect(after.count - (before?.count ?? 0)).toBe(1)
    const waited = after.sum! - (before?.sum ?? 0)
    expect(waited).toBeGreaterThanOrEqual(60)
    expect(waited).toBeLessThan(120)
  })

  test('what waits is asked of workers, and of nobody once they have stopped', async () => {
    const worker = await platform.platform.startWorker({ only: [work.id] })
    await idle.trigger({ tenantId })
    await idle.trigger({ tenantId }, { delay: '1h' })
    const ofWorker = await readFigures('cgk.queue.depth')
    expect([ofWorker[work.id], ofWorker[idle.id]]).toEqual([0, undefined])
    await worker.stop()
    // One that has no slot free looks on.
    const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const busy = defineTask({
      id: idle.id,
      payload: idle.schema,
      run: async () => {
        begun.resolve()
        await end.promise
        return null
      },
    })
    const onlooker = await workOn(busy)
    await begun.promise
    await idle.batchTrigger(Array.from({ length: 3 }, () => ({ payload: { tenantId } })))
    await platform.advance('10m')
    // Those that are not due yet count neither as depth nor as age.
    expect(await readFigures('cgk.queue.depth')).toMatchObject({ [idle.id]: 3 })
    const age = (await readFigures('cgk.queue.age'))[idle.id]!
    expect(age).toBeGreaterThanOrEqual(600)
    expect(age).toBeLessThan(700)
    end.resolve()
    await onlooker.stop()
    // Nothing that this process knows of: the SDK would go on with the last figure.
    await idle.batchTrigger(Array.from({ length: 3 }, () => ({ payload: { tenantId } })))
    expect(await readFigures('cgk.queue.depth')).toMatchObject({ [idle.id]: 0 })
  })

  test('calls by service and status; holds by service and tenant', async () => {
    const worker = await platform.platform.startWorker({ only: [idle.id] })
    await setCredential(tenantId, 'stripe', { secret_key: secretKey })
    const before = await readFigures<Histogram>('cgk.service.call.duration')
    await charge.trigger({ tenantId })
    await platform.drain({ only: [charge] })
    stripe.answerNext({ instead: 'reset' })
    await charge.trigger({ tenantId }, { maxAttempts: 1 })
    await platform.drain({ only: [charge] })
    stripe.answerNext({ status: 401, body: { error: { type: 'invalid_request_error' } } })
    await charge.trigger({ tenantId })
    await platform.drain({ only: [charge] })
    const after = await readFigures<Histogram>('cgk.service.call.duration')
    for (const outcome of ['200', 'TypeError', '401 401']) {
      const key = `stripe ${outcome}`
      expect(after[key]!.count - (before[key]?.count ?? 0)).toBe(1)
    }
    expect(await readFigures('cgk.holds')).toMatchObject({ [`stripe ${tenantId}`]: 1 })
    await setCredential(tenantId, 'stripe', { secret_key: secretKey })
    expect(await readFigures('cgk.holds')).toMatchObject({ [`stripe ${tenantId}`]: 0 })
    await worker.stop()
  })

  /** A worker with one slot, for a task of the same id with other work. */
  async function workOn(task: typeof idle): Promise<{ stop(): Promise<void> }> {
    const { engine: started, clients, holds } = await platform.platform.ready()
    return await started.work({
      tasks: [task],
      concurrency: 1,
      stopTimeoutMs: 5_000,
      dispatcher: platform.platform.dispatcher,
      services: { clients, holds },
      logger: platform.platform.logger,
    })
  }
})

test('runs are settled in batches', async () => {
  const platform = await createTestPlatform({ engine: 'pg-boss', tasks: [batched] })
  const tenantId = await platform.tenant()
  const before = (await readFigures<Histogram>('cgk.settle.batch'))['']
  await batched.batchTrigger(Array.from({ length: 200 }, () => ({ payload: { tenantId } })))
  await platform.drain({ concurrency: 100 })
  const after = (await readFigures<Histogram>('cgk.settle.batch'))['']!
  expect(after.sum! - (before?.sum ?? 0)).toBe(200)
  expect(after.count - (before?.count ?? 0)).toBeLessThan(200)
  await platform.close()
})
const batched = defineTask({ id: 'metrics/batched', payload: tenantPayload({}), run: () => null })

test('a run that its worker has left has failed, if it had no attempt left', async () => {
  const platform = await createTestPlatform({ engine: 'pg-boss', tasks: [left] })
  const tenantId = await platform.tenant()
  const { database } = await platform.platform.ready()
  await left.trigger({ tenantId }, { maxAttempts: 1 })
  await left.trigger({ tenantId })
  await database.query(
    `UPDATE pgboss.job SET state = 'active', started_on = now(), heartbeat_on = now() - interval '1 minute'`,
  )
  const worker = await platform.platform.startWorker()
  // Nothing counts as left in the first ten seconds of a Postgres.
  await expect
    .poll(async () => (await readFigures('cgk.runs.lost'))[left.id], { timeout: 25_000, interval: 200 })
    .toBe(2)
  expect(await readFigures('cgk.runs.ended')).toMatchObject({ [`${left.id} failed`]: 1 })
  await worker.stop()
  await platform.close()
})
const left = defineTask({ id: 'metrics/left', payload: tenantPayload({}), run: () => null })

test('of 10,000 tenants the first hundred have figures of their own, and the others one together', async () => {
  const { recordSettled } = await import('../../src/telemetry/settled.ts')
  limitTenantLabels(100)
  for (let round = 0; round < 2; round += 1) {
    for (let tenant = 0; tenant < 10_000; tenant += 1) {
      recordSettled({ taskId: 'many/tenants', tenantId: `many_${tenant}`, outcome: 'completed' })
    }
  }
  const figures = await readFigures('cgk.tenant.runs.ended')
  const tenants = new Set(Object.keys(figures).map((key) => key.split(' ')[0]))
  expect(tenants.size).toBe(101)
  const named = Object.entries(figures).filter(([key]) => key.startsWith('many_'))
  // Told apart from the first run on: nobody is in two series.
  expect(new Set(named.map(([, count]) => count))).toEqual(new Set([2]))
  expect(figures['_other completed']).toBe(20_000 - 2 * named.length)
  expect((await readFigures('cgk.runs.ended'))['many/tenants completed']).toBe(20_000)
})
