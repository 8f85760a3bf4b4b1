import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  defaultPlatform,
  runs,
  sql,
  startWorker,
  suspendTenant,
  transaction,
  withTenant,
} from '../../src/default-platform.ts'
import {
  AbortTaskError,
  InvalidPayloadError,
  RunTimeoutError,
  SnoozeError,
  TenantSuspendedError,
  UnknownTenantError,
} from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { snooze } from '../../src/task/snooze.ts'
import { TestClock } from '../../src/testing/clock.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

const double = defineTask({
  id: 'numbers/double',
  payload: tenantPayload({ n: z.number(), meta: z.record(z.string(), z.any()).default({}) }),
  run: ({ n }) => n * 2,
})
const parent = defineTask({
  id: 'numbers/parent',
  payload: tenantPayload({}),
  run: async ({ tenantId }) => {
    const child = await double.triggerAndWait({ tenantId, n: 21 })
    return child.ok ? child.output : child.state
  },
})
const moods = defineTask({
  id: 'numbers/moods',
  payload: tenantPayload({ mood: z.enum(['fail', 'abort', 'snooze', 'hang']) }),
  retry: { minDelay: '1m' },
  timeout: 30,
  run({ mood }, { signal }) {
    if (mood === 'snooze') snooze('1m')
    if (mood === 'abort') throw new AbortTaskError('no')
    if (mood === 'fail') throw new RangeError('first try')
    return new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(new Error('echo'))),
    )
  },
})
const unknown = defineTask({ id: 'numbers/unknown', payload: tenantPayload({}), run: () => null })

let kit: TestPlatform
beforeAll(async () => {
  kit = await createTestPlatform({ tasks: [double, parent, moods] })
})
afterAll(() => kit.close())

describe('runTask', () => {
  test('answers what run returned', async () => {
    const tenantId = await kit.tenant()
    expect(await kit.runTask(double, { tenantId, n: 4 })).toBe(8)
  })

  test('throws what run threw, itself', async () => {
    const tenantId = await kit.tenant()
    const run = (mood: 'fail' | 'abort' | 'snooze' | 'hang') => kit.runTask(moods, { tenantId, mood })
    await expect(run('fail')).rejects.toThrow(RangeError)
    await expect(run('abort')).rejects.toThrow(AbortTaskError)
    await expect(run('snooze')).rejects.toThrow(SnoozeError)
    await expect(run('hang')).rejects.toThrow(RunTimeoutError)
  })

  test('refuses what trigger refuses', async () => {
    const tenantId = await kit.tenant()
    await expect(kit.runTask(double, { tenantId, n: 'four' as never })).rejects.toThrow(InvalidPayloadError)
    await expect(kit.runTask(double, { tenantId: 'nobody', n: 1 })).rejects.toThrow(UnknownTenantError)
    await suspendTenant(tenantId)
    await expect(kit.runTask(double, { tenantId, n: 1 })).rejects.toThrow(TenantSuspendedError)
  })

  test('runs a child that the task waits for', async () => {
    expect(await kit.runTask(parent, { tenantId: await kit.tenant() })).toBe(42)
  })

  test("works from inside another tenant's transaction, and with the attempt and run id that the test says", async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const keys = defineTask({
      id: 'numbers/keys',
      payload: tenantPayload({}),
      run: (_payload, { attempt, idempotencyKey }) => `${attempt} ${idempotencyKey('k')}`,
    })
    const answer = await withTenant(one, () =>
      transaction(() => kit.runTask(keys, { tenantId: two }, { attempt: 7, runId: 'run-1' })),
    )
    expect(answer).toBe('7 run-1:k')
  })

  test('a signal aborts it', async () => {
    const signal = AbortSignal.abort(new Error('stop'))
    const running = kit.runTask(double, { tenantId: await kit.tenant(), n: 1 }, { signal })
    await expect(running).rejects.toThrow('stop')
  })
})

describe('assertEnqueued and refuteEnqueued', () => {
  test('match by task or id, tenant and a part of the payload', async () => {
    const tenantId = await kit.tenant()
    const meta = { at: new Date(0), list: [1, 2], deep: { a: 1, b: 2 } }
    const { id } = await double.trigger({ tenantId, n: 1, meta }, { delay: '1h' })

    expect(await kit.assertEnqueued(double)).toMatchObject({ id, state: 'scheduled' })
    await kit.assertEnqueued('numbers/double', { tenantId, payload: { n: 1 } })
    await kit.assertEnqueued(double, { payload: { meta: { at: new Date(0), deep: { b: 2 } } } })
    await kit.refuteEnqueued(double, { tenantId: 'other' })
    await kit.refuteEnqueued(double, { tenantId, payload: { n: 2 } })
    await kit.refuteEnqueued(double, { tenantId, payload: { meta: { list: [1] } } })
    await kit.refuteEnqueued(double, { tenantId, payload: { meta: { none: null } } })
    await kit.refuteEnqueued(parent)
    await runs.cancel(id)
  })

  test('what has ended is not enqueued', async () => {
    const tenantId = await kit.tenant()
    await double.trigger({ tenantId, n: 1 })
    await kit.drain()
    await kit.refuteEnqueued(double, { tenantId })
  })

  test('a failure lists what is enqueued', async () => {
    const tenantId = await kit.tenant()
    await expect(kit.assertEnqueued(double)).rejects.toThrow(
      'No run of numbers/double is enqueued.\nThe queue is empty.',
    )
    await double.trigger({ tenantId, n: 1 })
    await parent.trigger({ tenantId }, { delay: '1h' })
    await expect(kit.assertEnqueued(double, { tenantId, payload: { n: 2 } })).rejects.toThrow(
      [
        `No run of numbers/double for tenant ${tenantId} with {"n":2} is enqueued.`,
        'Enqueued, newest first:',
        `  numbers/parent (scheduled, tenant ${tenantId}) {"tenantId":"${tenantId}"}`,
        `  numbers/double (queued, tenant ${tenantId}) {"tenantId":"${tenantId}","n":1}`,
      ].join('\n'),
    )
    await expect(kit.refuteEnqueued(double)).rejects.toThrow(
      /^A run of numbers\/double is enqueued, but none should be\.\nEnqueued, newest first:\n/,
    )
    await kit.advance('2h')
    await kit.drain()
  })

  test('a long list is cut', async () => {
    const tenantId = await kit.tenant()
    await double.batchTrigger(Array.from({ length: 25 }, (_, n) => ({ payload: { tenantId, n } })))
    await expect(kit.assertEnqueued(parent)).rejects.toThrow(/\n {2}and 5 more$/)
    await kit.drain()
  })
})

describe('drain', () => {
  test('counts what ended; what waits for its retry has not', async () => {
    const tenantId = await kit.tenant()
    const doomed = await moods.trigger({ tenantId, mood: 'fail' })
    await moods.trigger({ tenantId, mood: 'abort' })
    await double.trigger({ tenantId, n: 1 })
    await parent.trigger({ tenantId })
    expect(await kit.drain()).toEqual({ completed: 3, failed: 1, cancelled: 0, expired: 0 })
    expect(await kit.drain()).toEqual({ completed: 0, failed: 0, cancelled: 0, expired: 0 })
    await runs.cancel(doomed.id)
  })

  test('an error of a task that the platform does not have', async () => {
    const { id } = await unknown.trigger({ tenantId: await kit.tenant() })
    await expect(kit.drain()).rejects.toThrow(/cannot run numbers\/unknown.*createTestPlatform\(\{ tasks/)
    expect((await kit.drain({ only: [double] })).completed).toBe(0)
    await runs.cancel(id)
  })

  test('durations that are none', async () => {
    await expect(kit.drain({ timeout: 'soon' as never })).rejects.toThrow(TypeError)
    await expect(kit.advance('backwards' as never)).rejects.toThrow(TypeError)
    await expect(kit.advance(-1)).rejects.toThrow(TypeError)
  })
})

describe('the clock', () => {
  test('stands still until it is moved, and rings what is due by then', () => {
    const clock = new TestClock(new Date(1_000))
    const rung: string[] = []
    clock.alarm(2_000, () => rung.push('a'))
    clock.alarm(3_000, () => rung.push('b'))
    const callOff = clock.alarm(2_000, () => rung.push('c'))
    callOff()
    clock.advance('1s')
    expect([clock.now(), rung]).toEqual([new Date(2_000), ['a']])
  })

  test('a worker that is working notices', async () => {
    const tenantId = await kit.tenant()
    const { id } = await double.trigger({ tenantId, n: 1 }, { delay: '1h' })
    const worker = await startWorker()
    await kit.advance('1h')
    expect((await runs.wait(id)).output).toBe(2)
    await worker.stop()
  })
})

test('the platform is the default one of the process, with a tenant in a line', async () => {
  expect(defaultPlatform()).toBe(kit.platform)
  const tenantId = await kit.tenant({ name: 'Acme', timezone: 'Europe/Berlin' })
  const { rows } = await sql`SELECT name, timezone FROM public.organizations WHERE slug = ${tenantId}`
  expect(rows).toEqual([{ name: 'Acme', timezone: 'Europe/Berlin' }])
})
