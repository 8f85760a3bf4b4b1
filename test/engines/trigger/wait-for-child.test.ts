/** Parents and children on the fixture platform, run by Trigger.dev's real executor: who waits for whom, and where. */
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { runs } from '../../../src/default-platform.ts'
import { runIdInTags } from '../../../src/engines/trigger/run-id.ts'
import { AbortTaskError, ConfigError, WaitTimeoutError } from '../../../src/errors.ts'
import { createLogger } from '../../../src/log.ts'
import type { TaskContext } from '../../../src/task/context.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { snooze } from '../../../src/task/snooze.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
import type { ProviderRequest } from '../../fixtures/providers/server.ts'
import { defineIn, Executor } from '../../fixtures/trigger/executor.ts'
import type { StoredRun } from '../../fixtures/trigger/stored-run.ts'
import { cloud, logged, newTenant, onTriggerDev, stored, storedOf } from './kit.ts'

type Act = (context: TaskContext) => unknown

const acts: Act[] = []
const task = {
  payload: tenantPayload({ act: z.number() }),
  retry: { maxAttempts: 2, minDelay: '1m' },
  run: ({ act }: { act: number }, context: TaskContext) => acts[act]!(context),
} as const
const parent = defineTask({ id: 'wait/parent', ...task })
const child = defineTask({ id: 'wait/child', ...task })
/** It waits in place for as long as by default. */
const patient = defineTask({ id: 'wait/patient', ...task })
/** Not at all. */
const hasty = defineTask({ id: 'wait/hasty', ...task })
defineIn('tasks/index.trigger.ts', () => {
  toTriggerTasks([hasty], { waitInPlace: 0 })
  toTriggerTasks([parent, child], { waitInPlace: 20 })
  toTriggerTasks([patient])
})

onTriggerDev({
  tasks: [parent, child, patient, hasty],
  logger: createLogger('warn', { write: (line) => void logged.push(line) }),
})

let tenantId: string
/** Until then, nobody is told that a child has ended: as in a process that is frozen. */
let asleep: Promise<void>
beforeEach(async () => {
  tenantId = await newTenant()
  logged.length = 0
  asleep = Promise.resolve()
  const executor = new Executor({
    url: cloud.url,
    secretKey: cloud.secretKey,
    waitpoint: (id) => cloud.waitpoint(id),
    waitForRun: async (...run) => {
      const result = await cloud.waitForRun(...run)
      await asleep
      return result
    },
  })
  const working = cloud.work({ runAttempt: (...attempt) => executor.runAttempt(...attempt), concurrency: 2 })
  onTestFinished(async () => await working.stop())
})
afterEach(() => cloud.calm())

const doing = (act: Act) => ({ tenantId, act: acts.push(act) - 1 })

/** A child that ends when the test says so. */
function heldBack(): { payload: ReturnType<typeof doing>; finish(): void; calls(): number } {
  const { promise, resolve } = Promise.withResolvers<string>()
  let calls = 0
  const payload = doing(() => {
    calls += 1
    return promise
  })
  return { payload, finish: () => resolve('done'), calls: () => calls }
}

/** A run asks to wait for another. */
const isAsking = ({ path, body }: ProviderRequest) =>
  path.endsWith('/trigger') && body.options.resumeParentOnCompletion === true
const asked = () => cloud.requests.filter(isAsking)
const askedBy = ({ id }: { id: string }) =>
  asked().filter(({ body }) => body.options.parentRunId === stored(id).id)

async function untilWaiting(run: { id: string }): Promise<void> {
  await expect.poll(() => stored(run.id).status, { timeout: 10_000 }).toBe('WAITING')
}

async function oneOf(taskId: string): Promise<StoredRun> {
  const find = () => storedOf(tenantId).find((run) => run.taskId === taskId)
  await expect.poll(find, { timeout: 10_000 }).toBeDefined()
  return find()!
}

test('who waits is waiting at Trigger.dev, and running for everybody else', async () => {
  const { payload, finish } = heldBack()
  const handle = await parent.trigger(doing(() => child.triggerAndWait(payload)))
  await untilWaiting(handle)
  expect((await runs.get(handle.id)).state).toBe('running')
  finish()
  expect(await runs.wait(handle.id)).toMatchObject({
    state: 'completed',
    output: { ok: true, output: 'done' },
  })
  expect(askedBy(handle)).toHaveLength(1)
  // It was asked for the child that is there: nothing new was made.
  expect(storedOf(tenantId)).toHaveLength(2)
  expect(logged).toEqual([])
})

test('a child that ends soon, or has long ended, is not waited for at Trigger.dev', async () => {
  const [payload, key] = [doing(({ runId }) => runId), { idempotencyKey: 'one' }]
  const { id } = await child.trigger(payload, key)
  await runs.wait(id)
  const handle = await patient.trigger(
    doing(async () => [
      await child.triggerAndWait(payload, key),
      await child.triggerAndWait(doing(() => 'quick')),
    ]),
  )
  expect((await runs.wait(handle.id)).output).toMatchObject([{ id, output: id }, { output: 'quick' }])
  expect(askedBy(handle)).toEqual([])
})

test('Trigger.dev, asked to wait for a child that has ended, lets the parent go on at once', async () => {
  const [payload, key] = [doing(({ runId }) => runId), { idempotencyKey: 'one' }]
  const { id } = await child.trigger(payload, key)
  await runs.wait(id)
  const handle = await hasty.trigger(doing(() => child.triggerAndWait(payload, key)))
  expect((await runs.wait(handle.id)).output).toMatchObject({ id, output: id })
  expect(askedBy(handle)).toHaveLength(1)
  expect(storedOf(tenantId)).toHaveLength(2)
})

test('two at once: the second waits in place until the first is over', async () => {
  const [one, two] = [heldBack(), heldBack()]
  const handle = await parent.trigger(
    doing(() => Promise.all([child.triggerAndWait(one.payload), child.triggerAndWait(two.payload)])),
  )
  await untilWaiting(handle)
  await expect.poll(() => [one.calls(), two.calls()], { timeout: 10_000 }).toEqual([1, 1])
  expect(askedBy(handle)).toHaveLength(1)
  const { idempotencyKey } = askedBy(handle)[0]!.body.options
  const first = storedOf(tenantId).find(({ options }) => options.idempotencyKey === idempotencyKey)!
  const isOne = JSON.parse(first.payload).json.act === one.payload.act
  const [sooner, later] = isOne ? [one, two] : [two, one]
  sooner.finish()
  await expect.poll(() => askedBy(handle).length, { timeout: 10_000 }).toBe(2)
  later.finish()
  expect((await runs.wait(handle.id)).output).toMatchObject([{ ok: true }, { ok: true }])
  expect(logged).toEqual([])
})

test('a failing child is an answer', async () => {
  const before = asked().length
  const failing = doing(async () => {
    await expect.poll(() => asked().length, { timeout: 10_000 }).toBeGreaterThan(before)
    throw new AbortTaskError('no luck')
  })
  const handle = await parent.trigger(doing(() => child.triggerAndWait(failing)))
  expect(await runs.wait(handle.id)).toMatchObject({
    state: 'completed',
    output: { ok: false, state: 'failed', error: { code: 'TASK_ABORTED', message: 'no luck' } },
  })
  expect(askedBy(handle)).toHaveLength(1)
})

test('a snooze after a child', async () => {
  const { payload, finish } = heldBack()
  let executions = 0
  const handle = await parent.trigger(
    doing(async () => {
      executions += 1
      const { id } = await child.triggerAndWait(payload, { idempotencyKey: 'child' })
      if (executions === 1) snooze('10m')
      return { id, executions }
    }),
  )
  await untilWaiting(handle)
  finish()
  await expect.poll(async () => (await runs.get(handle.id)).state, { timeout: 10_000 }).toBe('scheduled')
  await untilWaiting(handle)
  cloud.advance(660_000)
  const { id } = await oneOf(child.id)
  expect(await runs.wait(handle.id)).toMatchObject({ attempt: 1, output: { executions: 2 } })
  expect(stored(((await runs.get(handle.id)).output as { id: string }).id).id).toBe(id)
  expect(logged).toEqual([])
})

test('a snooze that leaves a child behind waits in place until the turn is free', async () => {
  const { payload, finish } = heldBack()
  let executions = 0
  const handle = await parent.trigger(
    doing(async () => {
      executions += 1
      if (executions === 2) return 'back'
      const left = child.triggerAndWait(payload)
      left.catch(() => {})
      await expect.poll(() => askedBy(handle).length, { timeout: 10_000 }).toBe(1)
      return snooze('10m')
    }),
  )
  await expect.poll(async () => (await runs.get(handle.id)).state, { timeout: 10_000 }).toBe('scheduled')
  finish()
  const waits = () =>
    cloud.requests.filter(({ path }) => path.endsWith(`${stored(handle.id).id}/wait/duration`))
  await expect.poll(() => waits().length, { timeout: 15_000 }).toBe(1)
  cloud.advance(660_000)
  expect((await runs.wait(handle.id)).output).toBe('back')
  expect(logged).toEqual([])
})

test('a cancel ends the parent that waits at Trigger.dev; the child goes on', async () => {
  const stopped = Promise.withResolvers<unknown>()
  const { payload, finish } = heldBack()
  const handle = await parent.trigger(
    doing(async ({ signal }) => {
      signal.addEventListener('abort', () => stopped.resolve(signal.reason))
      return await child.triggerAndWait(payload)
    }),
  )
  await untilWaiting(handle)
  const id = runIdInTags((await oneOf(child.id)).tags)!
  expect(await runs.cancel(handle.id)).toBe(true)
  expect(await stopped.promise).toMatchObject({ code: 'RUN_CANCELLED' })
  finish()
  expect((await runs.wait(id)).state).toBe('completed')
  expect((await runs.get(handle.id)).state).toBe('cancelled')
})

test('who gives up waiting goes on, and the child as well', async () => {
  const { payload, finish } = heldBack()
  const handle = await parent.trigger(
    doing(async () => {
      const waiting = child.triggerAndWait(payload, { timeout: 500 })
      const error = await waiting.catch((thrown: unknown) => thrown)
      return { gaveUp: error instanceof WaitTimeoutError && error.message.includes('after 500 ms') }
    }),
  )
  await expect
    .poll(async () => (await runs.get(handle.id)).output, { timeout: 10_000 })
    .toEqual({ gaveUp: true })
  expect(askedBy(handle)).toHaveLength(1)
  expect((await oneOf(child.id)).status).toBe('EXECUTING')
  finish()
})

test('a child that ended at the moment of the timeout is the answer', async () => {
  const { payload, finish } = heldBack()
  const handle = await parent.trigger(doing(() => child.triggerAndWait(payload, { timeout: 500 })))
  await untilWaiting(handle)
  const awake = Promise.withResolvers<void>()
  asleep = awake.promise
  onTestFinished(() => awake.resolve())
  finish()
  expect((await runs.wait(handle.id)).output).toMatchObject({ ok: true, output: 'done' })
})

test('where Trigger.dev cannot be asked to wait, the child is polled', async () => {
  const { payload, finish } = heldBack()
  cloud.answerNext({ status: 500, headers: { 'x-should-retry': 'false' } }, { matches: isAsking })
  const handle = await parent.trigger(doing(() => child.triggerAndWait(payload)))
  await expect.poll(() => logged.length, { timeout: 10_000 }).toBe(1)
  const { id } = await oneOf(child.id)
  expect(logged[0]).toContain('Trigger.dev did not wait for a child')
  expect(stored(handle.id).status).toBe('EXECUTING')
  finish()
  expect((await runs.wait(handle.id)).output).toMatchObject({ ok: true, output: 'done' })
  expect(storedOf(tenantId).map((run) => run.id)).toEqual([stored(handle.id).id, id])
})

test('a key that is free again makes a stand-in, and never the child once more', async () => {
  const { payload, finish, calls } = heldBack()
  // Freed before the question is answered, which the SDK asks again a second later.
  cloud.answerNext(
    ({ body }) => {
      cloud.store.freeKey(child.id, body.options.idempotencyKey)
      return { status: 503 }
    },
    { matches: isAsking },
  )
  const handle = await parent.trigger(doing(() => child.triggerAndWait(payload)))
  await expect.poll(() => askedBy(handle).length, { timeout: 10_000 }).toBe(2)
  await expect.poll(() => stored(handle.id).status, { timeout: 10_000 }).toBe('EXECUTING')
  finish()
  expect((await runs.wait(handle.id)).output).toMatchObject({ ok: true, output: 'done' })
  expect(calls()).toBe(1)
  expect((await runs.list({ tenantId })).runs).toHaveLength(2)
})

test('a parent that is retried finds its child by a key; without one it makes another', async () => {
  for (const [idempotencyKey, children] of [
    ['child', 1],
    [undefined, 2],
  ] as const) {
    tenantId = await newTenant()
    const { payload, finish } = heldBack()
    finish()
    const handle = await parent.trigger(
      doing(async ({ attempt }) => {
        const { id } = await child.triggerAndWait(payload, idempotencyKey ? { idempotencyKey } : {})
        if (attempt === 1) throw new Error('not yet')
        return id
      }),
    )
    await expect.poll(async () => (await runs.get(handle.id)).state, { timeout: 10_000 }).toBe('retrying')
    cloud.advance(120_000)
    expect((await runs.wait(handle.id)).attempt).toBe(2)
    expect(storedOf(tenantId).filter(({ taskId }) => taskId === child.id)).toHaveLength(children)
  }
})

test('a time to wait in place that is none is refused', () => {
  expect(() => toTriggerTasks([], { waitInPlace: 'soon' as never })).toThrow(ConfigError)
})
