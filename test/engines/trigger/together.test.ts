/** Both sides at once: triggered through the API, run by Trigger.dev's real executor, read through the API. */
import { waitUntil } from '@trigger.dev/core/v3'
import { StandardWaitUntilManager } from '@trigger.dev/core/v3/workers'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { resumeTenant, runs, suspendTenant, transaction, withTenant } from '../../../src/default-platform.ts'
import { AbortTaskError } from '../../../src/errors.ts'
import type { TaskContext } from '../../../src/task/context.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { snooze } from '../../../src/task/snooze.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
import { defineIn, Executor } from '../../fixtures/trigger/executor.ts'
import type { Working } from '../../fixtures/trigger/platform.ts'
import type { StoredRun } from '../../fixtures/trigger/stored-run.ts'
import { anotherProcess, cloud, newTenant, note, onTriggerDev, platform, stored, storedOf } from './kit.ts'

let act: (context: TaskContext) => unknown = () => null
const acting = defineTask({
  id: 'together/acting',
  payload: tenantPayload({}),
  retry: { maxAttempts: 3, minDelay: '1m', maxDelay: '30m' },
  run: (_, context) => act(context),
})
/** Takes its tenant as people write it. */
const lenient = defineTask({
  id: 'together/lenient',
  payload: z.object({ tenantId: z.string().trim().toLowerCase() }),
  run: (_, context) => act(context),
})
defineIn('tasks/index.trigger.ts', () => toTriggerTasks([acting, lenient]))

onTriggerDev({ tasks: [acting, lenient, note] })

/** Runs what is due, and what becomes due by it. */
async function drain(onAttempt: () => void = () => {}): Promise<void> {
  const executor = new Executor(cloud)
  const working: Working = cloud.work({
    runAttempt: (...attempt) => executor.runAttempt(...attempt),
    isWanted: (taskId) => taskId !== note.id,
    onAttempt,
  })
  const isBusy = () => [acting, lenient].some(({ id }) => cloud.store.unfinished().has(id))
  while (isBusy()) await new Promise((resolve) => setTimeout(resolve, 5))
  await working.stop()
}

test('a run that fails once, waits, and completes', async () => {
  const tenantId = await newTenant()
  let calls = 0
  act = ({ attempt, runId }) => {
    calls += 1
    if (calls === 1) throw Object.assign(new Error('not yet'), { code: 'E_BUSY' })
    if (calls === 2) snooze('10m')
    return { attempt, runId }
  }
  const { id } = await acting.trigger({ tenantId })
  await drain()
  expect(await runs.get(id)).toMatchObject({
    state: 'retrying',
    attempt: 1,
    error: { code: 'E_BUSY', message: 'not yet' },
    attempts: [{ attempt: 1, result: 'retry' }],
  })
  cloud.advance(60_000)
  await drain()
  expect(await runs.get(id)).toMatchObject({ state: 'retrying', attempt: 1, error: { code: 'SNOOZED' } })
  cloud.advance(660_000)
  await drain()
  expect(await runs.get(id)).toMatchObject({
    state: 'completed',
    attempt: 2,
    output: { attempt: 2, runId: id },
    error: null,
  })
})

test('a run that gives up, and a payload that fails its schema', async () => {
  const tenantId = await newTenant()
  act = () => {
    throw new AbortTaskError('hopeless')
  }
  const { id } = await acting.trigger({ tenantId })
  await drain()
  expect(await runs.get(id)).toMatchObject({
    state: 'failed',
    attempt: 1,
    error: { name: 'AbortTaskError', code: 'TASK_ABORTED', message: 'hopeless' },
    attempts: [{ attempt: 1, result: 'failed', fingerprint: expect.stringMatching(/^[0-9a-f]{20}$/) }],
  })
  const { run } = await cloud.store.add({
    taskId: acting.id,
    payload: JSON.stringify({ tenantId, unknown: 1 }),
    options: {},
    batchId: null,
  })
  await drain()
  expect(await runs.get(run.id)).toMatchObject({ state: 'failed', error: { code: 'PAYLOAD_INVALID' } })
})

test('a run that was replayed in the dashboard is a run of its own, by its tenant and by its id', async () => {
  const tenantId = await newTenant()
  act = ({ runId }) => runId
  const first = await acting.trigger({ tenantId })
  await drain()
  const run = await replayInDashboard(first.id)
  await drain()
  const replay = await runs.get(run.id)
  expect((await runs.wait(run.id)).output).toBe(replay.id)
  expect(replay).toMatchObject({ state: 'completed', replayOf: first.id, output: replay.id })
  expect(replay.id).not.toBe(first.id)
  expect((await runs.list({ tenantId })).runs.map(({ id }) => id)).toEqual([replay.id, first.id])
  expect(await runs.get(first.id)).toMatchObject({ output: first.id, replayOf: null })
  // A process that has never heard of it.
  const { engine, close } = await anotherProcess()
  expect(await engine.get(replay.id)).toMatchObject({ id: replay.id, replayOf: first.id })
  await close()
})

test('one that was replayed there with a payload of another tenant is refused, and neither sees it', async () => {
  const [tenantId, other] = [await newTenant(), await newTenant()]
  const ran: string[] = []
  act = (context) => void ran.push(context.tenantId)
  const first = await acting.trigger({ tenantId })
  await drain()
  const run = await replayInDashboard(first.id, { tenantId: other })
  await drain()
  expect(ran).toEqual([tenantId])
  expect(await runs.get(run.id)).toMatchObject({
    state: 'failed',
    attempt: 1,
    replayOf: first.id,
    error: { code: 'PAYLOAD_INVALID', message: expect.stringContaining(`tenantId: must stay "${tenantId}"`) },
  })
  expect((await runs.list({ tenantId })).runs.map(({ id }) => id)).toEqual([first.id])
  expect((await runs.list({ tenantId: other })).runs).toEqual([])
})

test('a tenant that its task knows by another text is one tenant, in a replay as well', async () => {
  const tenantId = await newTenant()
  act = (context) => context.tenantId
  const { id } = await lenient.trigger({ tenantId: ` ${tenantId.toUpperCase()} ` })
  await drain()
  const run = await replayInDashboard(id)
  await drain()
  expect((await runs.list({ tenantId })).runs).toMatchObject([
    { id: (await runs.get(run.id)).id, state: 'completed', output: tenantId },
    { id, state: 'completed', output: tenantId },
  ])
})

test('past maxDuration no attempt follows, and so it is recorded', async () => {
  const tenantId = await newTenant()
  const started = Promise.withResolvers<void>()
  act = ({ signal }) => {
    started.resolve()
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  const { id } = await acting.trigger({ tenantId })
  const draining = drain()
  await started.promise
  cloud.store.end(stored(id), 'TIMED_OUT')
  stored(id).abort.abort(Object.assign(new Error('over'), { name: 'TaskRunExceededMaxDuration' }))
  await draining
  await expect
    .poll(() => runs.get(id))
    .toMatchObject({
      state: 'failed',
      error: { code: 'TIMED_OUT' },
      attempts: [{ attempt: 1, result: 'failed', error: { code: 'RUN_TIMEOUT' } }],
    })
})

test('a run of a suspended tenant is held, and goes on once it is resumed', async () => {
  const tenantId = await newTenant()
  act = ({ attempt }) => attempt
  const { id } = await acting.trigger({ tenantId })
  await suspendTenant(tenantId)
  // The first looks follow one another in seconds, by the run's own clock.
  await drainUntil(() => stored(id).status === 'WAITING')
  expect(await runs.get(id)).toMatchObject({ state: 'held', attempt: 0, error: { code: 'TENANT_SUSPENDED' } })
  await resumeTenant(tenantId)
  cloud.advance(150_000)
  await drain()
  expect(await runs.get(id)).toMatchObject({ state: 'completed', attempt: 1, output: 1, error: null })
})

test('a cancel aborts the signal of a running run', async () => {
  const tenantId = await newTenant()
  const [started, stopped] = [Promise.withResolvers<void>(), Promise.withResolvers<unknown>()]
  act = ({ signal }) => {
    started.resolve()
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        stopped.resolve(signal.reason)
        reject(signal.reason)
      })
    })
  }
  const { id } = await acting.trigger({ tenantId })
  const draining = drain()
  await started.promise
  expect((await runs.get(id)).state).toBe('running')
  expect(await runs.cancel(id)).toBe(true)
  expect(await stopped.promise).toMatchObject({ code: 'RUN_CANCELLED' })
  await draining
  expect(await runs.get(id)).toMatchObject({ state: 'cancelled', output: null, error: null })
})

test('a run does not end before what its transaction has promised is triggered', async () => {
  waitUntil.setGlobalManager(new StandardWaitUntilManager())
  const tenantId = await newTenant()
  const childrenAtEnd: number[] = []
  const children = () => storedOf(tenantId).filter(({ taskId }) => taskId === note.id).length
  act = async ({ transaction }) => {
    await transaction(() => note.trigger({ tenantId }))
    return children()
  }
  cloud.answerNext(
    { status: 503, headers: { 'x-should-retry': 'false' } },
    { matches: ({ path }) => path.includes(encodeURIComponent(note.id)) },
  )
  const { id } = await acting.trigger({ tenantId })
  await drain(() => childrenAtEnd.push(children()))
  expect(await runs.get(id)).toMatchObject({ state: 'completed', output: 0 })
  expect(childrenAtEnd).toEqual([1])
})

test('Trigger.dev is told no parent, so that a run that is cancelled leaves its children alone', async () => {
  const tenantId = await newTenant()
  act = async ({ transaction }) => {
    await note.trigger({ tenantId })
    await note.batchTrigger([{ payload: { tenantId } }, { payload: { tenantId } }])
    await transaction(() => note.trigger({ tenantId }))
  }
  const { id } = await acting.trigger({ tenantId })
  await drain()
  expect(storedOf(tenantId)).toHaveLength(5)
  const asked = cloud.requests.filter(({ text }) => text.includes(tenantId) || text.includes('runCount'))
  expect(asked.filter(({ text }) => text.includes(stored(id).id) || text.includes('parentRunId'))).toEqual([])
  for (const run of storedOf(tenantId).slice(1)) {
    expect((await runs.get(run.id)).parentRunId).toBe(id)
  }
})

test('of a run that Trigger.dev has made twice, one does the work', async () => {
  const tenantId = await newTenant()
  const begun: string[] = []
  act = ({ runId }) => void begun.push(runId)
  const { id } = await acting.trigger({ tenantId })
  const { payload, options, tags, metadata } = stored(id)
  const { idempotencyKey: _, ...rest } = options
  const twin = await cloud.store.add({
    taskId: acting.id,
    payload,
    options: { ...rest, tags, metadata },
    batchId: null,
  })
  await drain()
  expect(begun).toEqual([id])
  expect(twin.run).toMatchObject({ status: 'FAILED', error: { message: /made this run twice/ } })
  expect(await runs.get(id)).toMatchObject({ state: 'completed', attempts: [] })
})

test('a run that begins is not asked for again, though nobody was told that it is there', async () => {
  const tenantId = await newTenant()
  act = () => null
  cloud.loseAnswer(
    { status: 503 },
    { matches: ({ path, text }) => /trigger$/.test(path) && text.includes(tenantId) },
  )
  const { id } = await withTenant(tenantId, () => transaction(() => acting.trigger({ tenantId })))
  await runs.get(id)
  await drain()
  const { database } = await platform.ready()
  const { rows } = await database.query(
    'SELECT trigger_id, request, next_try_at FROM public.platform_trigger_runs WHERE run_id = $1',
    [id],
  )
  expect(rows).toEqual([{ trigger_id: stored(id).id, request: null, next_try_at: null }])
})

async function drainUntil(done: () => boolean): Promise<void> {
  while (!done()) await drain()
}

/** As its dashboard does it: of the same task, tags and metadata, by another payload where somebody has edited it. */
async function replayInDashboard(runId: string, edited?: Record<string, unknown>): Promise<StoredRun> {
  const { taskId, payload, options, tags, metadata } = stored(runId)
  const { idempotencyKey: _, ...rest } = options
  const { run } = await cloud.store.add({
    taskId,
    payload: edited ? JSON.stringify({ json: edited }) : payload,
    options: { ...rest, tags, metadata },
    batchId: null,
    isReplay: true,
  })
  return run
}
