import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { RunStatus } from '@trigger.dev/core/v3'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  createTenant,
  deleteTenant,
  runs,
  sql,
  startWorker,
  transaction,
  withTenant,
} from '../../../src/default-platform.ts'
import { apiStatuses, toStatuses } from '../../../src/engines/trigger/states.ts'
import type { WaitingNote } from '../../../src/engines/trigger/waiting-note.ts'
import {
  ConfigError,
  InvalidRunFilterError,
  InvalidTriggerOptionsError,
  TenantHasOpenRunsError,
  TriggerUnavailableError,
  UnknownRunError,
} from '../../../src/errors.ts'
import type { RunState } from '../../../src/task/run.ts'
import { cloud, engine, newTenant, note, onTriggerDev, other, platform, stored, storedOf } from './kit.ts'

onTriggerDev()

let tenantId: string
beforeEach(async () => {
  tenantId = await newTenant()
  cloud.requests.length = 0
  cloud.batchesWait = false
  cloud.listsNothing = false
})

describe('triggering', () => {
  const pathOf = (taskId: string) => `/api/v1/tasks/${encodeURIComponent(taskId)}/trigger`

  test("a run goes by its task's id, with the caller's input, its tenant and our id", async () => {
    const { id } = await note.trigger({ tenantId, text: 'a' })
    const [request] = cloud.received('POST', pathOf(note.id))
    const { payload, options } = request!.body
    expect(JSON.parse(payload)).toEqual({ json: { tenantId, text: 'a' } })
    expect(options).toMatchObject({
      concurrencyKey: tenantId,
      tags: [`tenant:${tenantId}`, `run:${id}`],
      maxAttempts: 4,
      idempotencyKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      idempotencyKeyTTL: '86400s',
    })
    for (const absent of ['delay', 'ttl', 'priority', 'parentRunId', 'queue', 'test', 'lockToVersion']) {
      expect(options).not.toHaveProperty(absent)
    }
    expect(request!.headers['x-trigger-branch']).toBeUndefined()
    expect(await runs.get(id)).toMatchObject({
      id,
      taskId: note.id,
      tenantId,
      state: 'queued',
      attempt: 0,
      maxAttempts: 4,
      priority: 0,
      tags: [],
      payload: { tenantId, text: 'a' },
      output: null,
      error: null,
      parentRunId: null,
      replayOf: null,
      idempotencyKey: null,
      startedAt: null,
      finishedAt: null,
      attempts: [],
    })
  })

  test('options are said in its words', async () => {
    const runAt = new Date(Date.now() + 3_600_000)
    const first = await note.trigger(
      { tenantId },
      { delay: '90m', ttl: '10m', priority: 7, tags: ['red', 'big'], maxAttempts: 2 },
    )
    await note.trigger({ tenantId }, { runAt, priority: -5 })
    await note.trigger({ tenantId }, { runAt: new Date(0), delay: undefined as never })
    await note.trigger({ tenantId }, { delay: 1_500 })
    const sent = cloud.received('POST', pathOf(note.id)).map(({ body }) => body.options)
    expect(sent[0]).toMatchObject({ delay: '5400s', ttl: 600, priority: 7, maxAttempts: 2 })
    expect(sent[0].tags.slice(2)).toEqual(['red', 'big'])
    expect(sent[1].delay).toBe(runAt.toISOString())
    expect(sent[1]).not.toHaveProperty('priority')
    expect(sent[2]).not.toHaveProperty('delay')
    expect(Date.parse(sent[3].delay) - Date.now()).toBeLessThanOrEqual(1_500)
    expect(await runs.get(first.id)).toMatchObject({
      state: 'scheduled',
      priority: 7,
      tags: ['red', 'big'],
      maxAttempts: 2,
    })
  })

  test('tags beyond the room that is left, and those that are ours, are refused before anything is sent', async () => {
    const tags = Array.from({ length: 9 }, (_, index) => `t${index}`)
    await expect(note.trigger({ tenantId }, { tags })).rejects.toThrow(/at most 8 tags/)
    await expect(note.trigger({ tenantId }, { tags: ['tenant:other'] })).rejects.toThrow(
      InvalidTriggerOptionsError,
    )
    await expect(
      note.batchTrigger([{ payload: { tenantId } }, { payload: { tenantId }, options: { tags: ['run:1'] } }]),
    ).rejects.toThrow(InvalidTriggerOptionsError)
    expect(cloud.requests).toEqual([])
    await note.trigger({ tenantId }, { tags: tags.slice(1) })
  })

  test('many go in batches of what Trigger.dev takes at once', async () => {
    const items = Array.from({ length: 1_001 }, (_, index) => ({ payload: { tenantId, text: `${index}` } }))
    const handles = await note.batchTrigger(items)
    const batches = cloud.received('POST', '/api/v3/batches').map(({ body }) => body.runCount)
    expect(batches).toEqual([1_000, 1])
    expect(new Set(handles.map(({ id }) => id)).size).toBe(1_001)
    expect(storedOf(tenantId)).toHaveLength(1_001)
    expect(await runs.get(handles[1_000]!.id)).toMatchObject({ payload: { text: '1000' } })
  })

  test('who has triggered a run finds it, also where Trigger.dev lists it later', async () => {
    cloud.listsNothing = true
    const { id } = await note.trigger({ tenantId })
    expect((await runs.get(id)).state).toBe('queued')

    cloud.batchesWait = true
    const [run] = await note.batchTrigger([{ payload: { tenantId } }, { payload: { tenantId } }])
    expect(await runs.get(run!.id)).toMatchObject({ state: 'queued', tenantId, payload: null })
    await expect(runs.cancel(run!.id)).rejects.toThrow(/not yet made the run/)

    cloud.listsNothing = false
    await cloud.makeBatchRuns()
    expect(await runs.get(run!.id)).toMatchObject({ state: 'queued', payload: { tenantId } })
    expect(await runs.cancel(run!.id)).toBe(true)
  })

  test('no run that nobody triggered is found', async () => {
    for (const id of [randomUUID(), 'nonsense', 'run_0', `${randomUUID()},x`]) {
      await expect(runs.get(id)).rejects.toThrow(UnknownRunError)
      await expect(runs.cancel(id)).rejects.toThrow(UnknownRunError)
      expect(await engine.attempts(id)).toEqual([])
    }
  })

  test('a large payload goes to the store that Trigger.dev names', async () => {
    const text = 'x'.repeat(200_000)
    const { id } = await note.trigger({ tenantId, text })
    expect(stored(id).payloadType).toBe('application/store')
    expect(await runs.get(id)).toMatchObject({ payload: { tenantId, text } })
    // What cannot be fetched is not nothing.
    cloud.answerNext({ status: 503 }, { matches: ({ path }) => path.startsWith('/store/') })
    await expect(runs.get(id)).rejects.toThrow(TriggerUnavailableError)
  })
})

describe('reading', () => {
  const waitingFor = (state: WaitingNote['state'], by: string | null = null): WaitingNote => ({
    state,
    by,
    reason: { name: 'Error', code: 'WHY', message: 'because', stack: null },
    until: '2027-01-01T00:00:00.000Z',
  })

  const cases: [
    status: string,
    about: { attempts?: number; waiting?: WaitingNote; failedLast?: true },
    state: RunState,
    attempt: number,
  ][] = [
    ['PENDING_VERSION', {}, 'queued', 0],
    ['QUEUED', {}, 'queued', 0],
    ['QUEUED', { attempts: 1 }, 'running', 1],
    ['QUEUED', { attempts: 1, failedLast: true }, 'retrying', 1],
    ['DEQUEUED', {}, 'queued', 0],
    ['EXECUTING', { attempts: 2 }, 'running', 2],
    ['EXECUTING', { attempts: 1, failedLast: true }, 'retrying', 1],
    ['EXECUTING', { attempts: 1, waiting: waitingFor('held', 'stripe') }, 'held', 0],
    ['WAITING', { attempts: 1 }, 'running', 1],
    ['WAITING', { attempts: 3, waiting: waitingFor('held', 'tenant') }, 'held', 2],
    ['WAITING', { attempts: 1, waiting: waitingFor('scheduled') }, 'scheduled', 0],
    ['WAITING', { attempts: 2, waiting: waitingFor('retrying') }, 'retrying', 1],
    ['QUEUED', { attempts: 1, waiting: waitingFor('scheduled') }, 'scheduled', 0],
    ['DELAYED', {}, 'scheduled', 0],
    ['COMPLETED', { attempts: 2, waiting: waitingFor('held', 'stripe') }, 'completed', 2],
    ['CANCELED', { attempts: 1, waiting: waitingFor('held', 'stripe') }, 'cancelled', 1],
    ['FAILED', { attempts: 3 }, 'failed', 3],
    ['CRASHED', { attempts: 1 }, 'failed', 1],
    ['SYSTEM_FAILURE', { attempts: 1 }, 'failed', 1],
    ['TIMED_OUT', { attempts: 1 }, 'failed', 1],
    ['EXPIRED', {}, 'expired', 0],
  ]

  test.each(cases)('%s %o is %s', async (status, { attempts = 0, waiting, failedLast }, state, attempt) => {
    const { id } = await note.trigger({ tenantId })
    const run = stored(id)
    Object.assign(run, {
      attemptCount: attempts,
      queuedAt: cloud.store.now + 1e9,
      status: status as RunStatus,
    })
    if (waiting) run.metadata.waiting = waiting
    if (failedLast) await recordFailure(id, attempts, 'retry')
    const read = await runs.get(id)
    expect({ state: read.state, attempt: read.attempt }).toEqual({ state, attempt })
    expect((await runs.list({ tenantId, states: [state] })).runs).toEqual([expect.objectContaining({ id })])
    if (waiting && state === waiting.state) {
      expect(read).toMatchObject({ error: { code: 'WHY' }, runAt: new Date(waiting.until!) })
    }
    if (state === 'completed' || state === 'cancelled') expect(read.error).toBeNull()
  })

  test('every status of the SDK is known, and every state has one', () => {
    expect([...apiStatuses].sort()).toEqual([...RunStatus.options].sort())
    expect(new Set(cases.map(([status]) => status))).toEqual(new Set(apiStatuses))
    expect([...toStatuses(cases.map(([, , state]) => state))].sort()).toEqual([...apiStatuses].sort())
  })

  test('an output, and why a run failed', async () => {
    const { id } = await note.trigger({ tenantId })
    stored(id).output = { data: '{"a":[1]}', type: 'application/json' }
    cloud.store.end(stored(id), 'COMPLETED')
    expect(await runs.get(id)).toMatchObject({ output: { a: [1] }, finishedAt: expect.any(Date) })

    const failed = await note.trigger({ tenantId })
    Object.assign(stored(failed.id), { attemptCount: 1, status: 'FAILED' })
    stored(failed.id).error = {
      type: 'BUILT_IN_ERROR',
      name: 'TypeError [E_BUSY]',
      message: 'not now',
      stackTrace: 'TypeError: not now',
    }
    expect((await runs.get(failed.id)).error).toMatchObject({
      name: 'TypeError',
      code: 'E_BUSY',
      message: 'not now',
    })
    await recordFailure(failed.id, 1, 'failed')
    expect(await runs.get(failed.id)).toMatchObject({
      error: { code: 'E_RECORDED' },
      attempts: [{ attempt: 1, result: 'failed', error: { code: 'E_RECORDED' } }],
    })
    // What Trigger.dev ended did not end by the error of an attempt before.
    stored(failed.id).status = 'CRASHED'
    expect((await runs.get(failed.id)).error).toMatchObject({ code: 'CRASHED' })
    stored(failed.id).error = null
    expect((await runs.get(failed.id)).error).toMatchObject({ code: 'CRASHED', message: /CRASHED/ })
  })

  test('lists page by page, by task, state and several tags at once, and only what is ours', async () => {
    const neighbour = await newTenant()
    const ids: string[] = []
    for (let index = 0; index < 7; index += 1) {
      ids.unshift((await note.trigger({ tenantId }, { tags: ['crimson', 'a,b'] })).id)
      await note.trigger({ tenantId: neighbour }, { tags: ['crimson'] })
    }
    const plain = await other.trigger({ tenantId })
    await cloud.store.add({ taskId: note.id, payload: '{}', options: {}, batchId: null })
    const idsOf = async (filter: Parameters<typeof runs.list>[0]) =>
      (await runs.list(filter)).runs.map(({ id }) => id)
    expect(await idsOf({ tenantId, tag: 'crimson' })).toEqual(ids)
    expect(await idsOf({ tenantId, tag: 'a,b' })).toEqual(ids)
    expect(await idsOf({ tenantId, tag: `tenant:${tenantId}` })).toEqual([])
    expect(await idsOf({ tenantId, taskId: other.id })).toEqual([plain.id])
    expect(await idsOf({ tag: 'crimson', limit: 100 })).toHaveLength(14)
    expect(await idsOf({ taskId: note.id, limit: 1_000 })).toEqual(expect.arrayContaining(ids))

    expect(await idsOf({ tenantId, tag: 'crimson', idPrefix: ids[0]!.slice(0, 12) })).toEqual([ids[0]])
    expect(await idsOf({ tenantId, errorText: 'anything' })).toEqual([])
    const counts = await runs.counts({ tenantId })
    expect(counts.sort((a, b) => b.runs - a.runs)).toEqual([
      { taskId: note.id, tenantId, state: 'queued', runs: 7 },
      { taskId: other.id, tenantId, state: 'queued', runs: 1 },
    ])
    expect(await runs.counts({ tenantId, taskId: other.id })).toHaveLength(1)
    // What is open is counted whenever it was made.
    expect(await runs.counts({ tenantId, to: new Date(0) })).toHaveLength(2)

    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await runs.list({ tenantId, tag: 'crimson', limit: 3, ...(after && { after }) })
      seen.push(...page.runs.map(({ id }) => id))
      after = page.next ?? undefined
    } while (after)
    expect(seen).toEqual(ids)
    await expect(runs.list({ after: 'anything' })).rejects.toThrow(InvalidRunFilterError)
  })

  test("a run is found by Trigger.dev's id as well, and one that the dashboard made too", async () => {
    const { id } = await note.trigger({ tenantId })
    expect(await runs.get(stored(id).id)).toMatchObject({ id, tenantId })
    const made = await cloud.store.add({
      taskId: note.id,
      payload: JSON.stringify({ tenantId, text: 'by hand' }),
      options: {},
      batchId: null,
    })
    const run = await runs.get(made.run.id)
    expect(run).toMatchObject({ tenantId, payload: { text: 'by hand' }, state: 'queued' })
    expect(await runs.get(run.id)).toEqual(run)
  })

  test('the runs of a deleted tenant are nobody’s, also not of the next one with its name', async () => {
    const done = await note.trigger({ tenantId }, { idempotencyKey: 'k' })
    cloud.store.end(stored(done.id), 'COMPLETED')
    const open = await note.trigger({ tenantId })
    await expect(deleteTenant(tenantId)).rejects.toThrow(TenantHasOpenRunsError)
    await deleteTenant(tenantId, { force: true })
    expect(stored(open.id).status).toBe('CANCELED')
    for (const { id } of [done, open]) await expect(runs.get(id)).rejects.toThrow(UnknownRunError)

    for (const run of storedOf(tenantId)) Object.assign(run, { createdAt: run.createdAt - 3_600_000 })
    await createTenant(tenantId)
    for (const { id } of [done, open]) await expect(runs.get(id)).rejects.toThrow(UnknownRunError)
    expect((await runs.list({ tenantId })).runs).toEqual([])
    const next = await note.trigger({ tenantId }, { idempotencyKey: 'k' })
    expect(next.id).not.toBe(done.id)
    expect((await runs.get(next.id)).state).toBe('queued')
  })

  test('counts who waits for a service', async () => {
    const handles = await note.batchTrigger([1, 2, 3].map(() => ({ payload: { tenantId } })))
    const [one, two, three] = handles.map(({ id }) => stored(id))
    Object.assign(one!, {
      status: 'WAITING',
      attemptCount: 1,
      metadata: { waiting: waitingFor('held', 'mux') },
    })
    Object.assign(two!, {
      status: 'EXECUTING',
      attemptCount: 1,
      metadata: { waiting: waitingFor('held', 'mux') },
    })
    Object.assign(three!, {
      status: 'WAITING',
      attemptCount: 1,
      metadata: { waiting: waitingFor('held', 'wise') },
    })
    expect(await engine.countHeld(tenantId, 'mux')).toBe(2)
    expect(await engine.countHeld(tenantId, 'stripe')).toBe(0)
  })
})

test('tenants that have an open run of a task with a tag', async () => {
  const [other1, other2] = [await newTenant(), await newTenant()]
  const nightly = { tags: ['schedule:nightly'] }
  const { id: ended } = await note.trigger({ tenantId: other1 }, nightly)
  await note.trigger({ tenantId }, nightly)
  await note.trigger({ tenantId: other2 })
  await other.trigger({ tenantId: other2 }, nightly)
  stored(ended).status = 'COMPLETED'
  expect(await engine.tenantsWithOpenRun(note.id, 'schedule:nightly', [tenantId, other1, other2])).toEqual([
    tenantId,
  ])
})

describe('cancelling', () => {
  test('an open run ends; one that has ended is left as it is', async () => {
    const { id } = await note.trigger({ tenantId })
    expect(await runs.cancel(id)).toBe(true)
    expect(await runs.get(id)).toMatchObject({ state: 'cancelled', error: null })
    expect(await runs.cancel(id)).toBe(false)

    const done = await note.trigger({ tenantId })
    cloud.store.end(stored(done.id), 'COMPLETED')
    expect(await runs.cancel(done.id)).toBe(false)
    expect(cloud.received('POST', /cancel$/)).toHaveLength(1)
  })

  test('one that completes in between was not cancelled', async () => {
    const { id } = await note.trigger({ tenantId })
    cloud.answerNext(
      () => {
        cloud.store.end(stored(id), 'COMPLETED')
        return { body: { id: stored(id).id } }
      },
      { matches: ({ path }) => path.endsWith('/cancel') },
    )
    expect(await runs.cancel(id)).toBe(false)
    expect((await runs.get(id)).state).toBe('completed')
  })
})

describe('an idempotency key', () => {
  const key = { idempotencyKey: 'order 1' }

  test('leads to the run that has it, in a batch and from many callers at once', async () => {
    const first = await note.trigger({ tenantId }, key)
    const batch = await note.batchTrigger([
      { payload: { tenantId }, options: key },
      { payload: { tenantId } },
      { payload: { tenantId }, options: key },
    ])
    expect([batch[0], batch[2]]).toEqual([first, first])
    const many = await Promise.all(Array.from({ length: 20 }, () => note.trigger({ tenantId }, key)))
    expect(new Set(many.map(({ id }) => id))).toEqual(new Set([first.id]))
    expect(storedOf(tenantId)).toHaveLength(2)
    expect(await runs.get(first.id)).toMatchObject({ idempotencyKey: 'order 1' })
  })

  test.each(['FAILED', 'CANCELED', 'EXPIRED', 'CRASHED', 'SYSTEM_FAILURE', 'TIMED_OUT'] as const)(
    'of a run that is %s leads to one new run, however many ask',
    async (status) => {
      const first = await note.trigger({ tenantId }, key)
      cloud.store.end(stored(first.id), status)
      const many = await Promise.all(Array.from({ length: 20 }, () => note.trigger({ tenantId }, key)))
      expect(new Set(many.map(({ id }) => id)).size).toBe(1)
      expect(many[0]).not.toEqual(first)
      expect(storedOf(tenantId)).toHaveLength(2)
      expect(await note.trigger({ tenantId }, key)).toEqual(many[0])
    },
  )

  test('belongs to its task and tenant, and ends with its time', async () => {
    const neighbour = await newTenant()
    const handles = [
      await note.trigger({ tenantId }, { ...key, idempotencyKeyTtl: '1h' }),
      await other.trigger({ tenantId }, key),
      await note.trigger({ tenantId: neighbour }, key),
    ]
    expect(new Set(handles.map(({ id }) => id)).size).toBe(3)
    cloud.advance(3_601_000)
    expect(await note.trigger({ tenantId }, key)).not.toEqual(handles[0])
    expect(await other.trigger({ tenantId }, key)).toEqual(handles[1])
  })

  test('processes that free one key make one run', async () => {
    const { TriggerEngine } = await import('../../../src/engines/trigger/engine.ts')
    const first = await note.trigger({ tenantId }, key)
    cloud.store.end(stored(first.id), 'CANCELED')
    const { database } = await platform.ready()
    const { triggerApiUrl: url, triggerSecretKey } = platform.config
    const engines = Array.from(
      { length: 4 },
      () =>
        new TriggerEngine({
          url,
          key: triggerSecretKey,
          previewBranch: null,
          database,
          logger: platform.logger,
          retention: platform.config,
        }),
    )
    const request = (id: string) => ({
      id,
      taskId: note.id,
      tenantId,
      input: { tenantId },
      parentRunId: null,
      triggeredBy: { kind: 'app' as const, ref: null },
      replayOf: null,
      idempotency: { key: 'order 1', ttlMs: 60_000 },
      delayMs: 0,
      runAt: null,
      priority: 0,
      ttlMs: null,
      tags: [],
      maxAttempts: 1,
    })
    // The first to free it is slow: whoever did not wait for it has a new run by then, whose key it would free.
    cloud.answerNext(
      async ({ body, path }) => {
        await sleep(400)
        const key = path.split('/').at(-2)!
        cloud.store.freeKey(body.taskIdentifier, key)
        return { body: { id: key } }
      },
      { matches: ({ path }) => path.endsWith('/reset') },
    )
    const handles = await Promise.all(engines.map((one) => one.enqueue([request(randomUUID())], null)))
    expect(new Set(handles.map(([handle]) => handle!.id)).size).toBe(1)
    expect(storedOf(tenantId)).toHaveLength(2)
  })
})

describe('inside transaction()', () => {
  const addCustomer = () => sql`INSERT INTO customers (email) VALUES ('a@x.test')`

  test('a run is triggered once that has committed, and its id is known before', async () => {
    const { id } = await withTenant(tenantId, () =>
      transaction(async () => {
        await addCustomer()
        const handle = await note.trigger({ tenantId })
        await expect(runs.get(handle.id)).rejects.toThrow(UnknownRunError)
        expect(storedOf(tenantId)).toEqual([])
        return handle
      }),
    )
    expect((await runs.get(id)).state).toBe('queued')
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  test('what is rolled back was never triggered', async () => {
    const rolledBack = withTenant(tenantId, () =>
      transaction(async () => {
        await note.trigger({ tenantId })
        await transaction(() => note.batchTrigger([{ payload: { tenantId } }]))
        throw new Error('roll back')
      }),
    )
    await expect(rolledBack).rejects.toThrow('roll back')
    expect((await runs.list({ tenantId })).runs).toEqual([])
    expect(cloud.received('POST', /trigger$|batches/)).toEqual([])
  })

  test('one key twice is one run that both ids lead to', async () => {
    const key = { idempotencyKey: 'k' }
    const handles = await withTenant(tenantId, () =>
      transaction(async () => [await note.trigger({ tenantId }, key), await note.trigger({ tenantId }, key)]),
    )
    for (const { id } of handles) expect(await runs.get(id)).toMatchObject({ id, state: 'queued' })
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  test('tags that cannot be used fail the transaction, not what comes after it', async () => {
    const failed = withTenant(tenantId, () =>
      transaction(async () => {
        await addCustomer()
        await note.trigger({ tenantId }, { tags: ['run:x'] })
      }),
    )
    await expect(failed).rejects.toThrow(InvalidTriggerOptionsError)
    const { rows } = await withTenant(tenantId, () => sql`SELECT FROM customers`)
    expect(rows).toEqual([])
  })
})

test('no worker is started here', async () => {
  await expect(startWorker()).rejects.toThrow(ConfigError)
  await expect(startWorker()).rejects.toThrow(/npx trigger\.dev deploy/)
})

async function recordFailure(runId: string, attempt: number, result: 'retry' | 'failed'): Promise<void> {
  const { database } = await platform.ready()
  const error = { name: 'Error', code: 'E_RECORDED', message: 'recorded', stack: null }
  await database.query(
    `INSERT INTO public.platform_attempts (run_id, attempt, task_id, tenant_id, result, error, started_at, worker)
     VALUES ($1, $2, $3, $4, $5, $6, now(), 'w')`,
    [runId, attempt, note.id, tenantId, result, JSON.stringify(error)],
  )
}
