import { randomUUID } from 'node:crypto'
import { audit, bulkActions, runs } from '@cgk-platform/jobs'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { AbortTaskError } from '../../../src/errors.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { type Caller, keyOf, kit, onPlatform, userOf } from './kit.ts'

let broken = true
const flaky = defineTask({
  id: 'api/flaky',
  payload: tenantPayload({ n: z.number(), note: z.string().default('none') }),
  run: ({ n, note }) => {
    if (broken) throw new AbortTaskError(`broken ${n % 2 === 0 ? 'evenly' : 'oddly'}`)
    return { n, note }
  },
})

onPlatform({ tasks: [flaky] })

const reason = 'The provider is back'

/** Runs that have failed. Answers their ids, in the order of n. */
async function failures(tenantId: string, count: number): Promise<string[]> {
  broken = true
  const items = Array.from({ length: count }, (_, n) => ({ payload: { tenantId, n } }))
  const handles = await flaky.batchTrigger(items)
  await kit.drain()
  broken = false
  return handles.map(({ id }) => id)
}

/** Until its last step has been done. */
async function finish(id: string): Promise<void> {
  const driver = await kit.platform.driveBulkActions()
  await vi.waitUntil(async () => (await bulkActions.get(id)).state === 'completed', { timeout: 20_000 })
  await driver.stop()
}

const scopes = ['runs:read', 'runs:replay', 'runs:cancel'] as const

describe('a replay', () => {
  test('is previewed, confirmed, and watched to its end', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const failed = [...(await failures(one, 3)), ...(await failures(two, 1))]
    const operator = await userOf('operator')
    const preview = await operator.post('/replays', { runIds: failed })
    expect(preview).toMatchObject({
      status: 201,
      body: {
        kind: 'replay',
        state: 'previewed',
        selection: { runIds: 4 },
        total: 4,
        counts: { waiting: 4, done: 0, refused: 0, skipped: 0 },
        completedLater: 0,
        tenants: [
          { tenantId: one, runs: 3 },
          { tenantId: two, runs: 1 },
        ],
        tasks: [{ taskId: 'api/flaky', runs: 4 }],
        refused: [],
        createdBy: { kind: 'user', name: expect.stringMatching(/@x\.test$/) },
        confirmedAt: null,
      },
    })
    const { id } = preview.body
    expect((await runs.list({ tenantId: one })).runs).toHaveLength(3)

    const confirmed = await operator.post(`/replays/${id}/confirm`, { reason, perSecond: 500 })
    expect(confirmed).toMatchObject({
      status: 200,
      body: { id, state: 'running', reason, perSecond: 500, confirmedBy: { kind: 'user' } },
    })
    expect(await operator.post(`/replays/${id}/confirm`, { reason: 'again' })).toMatchObject({
      status: 200,
      body: { reason },
    })
    await finish(id)
    await kit.drain()

    expect(await operator.get(`/replays/${id}`)).toMatchObject({
      status: 200,
      body: { state: 'completed', counts: { waiting: 0, done: 4 } },
    })
    expect(await operator.get(`/replays/${id}/results`)).toMatchObject({
      status: 200,
      body: { completed: 4, failed: 0 },
    })
    const first = await operator.get(`/replays/${id}/runs?limit=3`)
    expect(first.body.runs.map(({ runId }: { runId: string }) => runId)).toEqual(failed.slice(0, 3))
    const rest = await operator.get(`/replays/${id}/runs?limit=3&after=${first.body.next}`)
    expect(rest.body).toMatchObject({
      runs: [{ runId: failed[3], state: 'done', problem: null }],
      next: null,
    })
    const { newRunId } = rest.body.runs[0]
    expect(await operator.get(`/runs/${newRunId}`)).toMatchObject({
      body: { replayOf: failed[3], state: 'completed', triggeredBy: { kind: 'replay' } },
    })
    const { entries } = await audit.list({ action: 'run.replay', limit: 2 })
    const told = { subject: id, reason, actor: { kind: 'user' }, details: { runs: expect.any(Number) } }
    expect(entries).toMatchObject([told, told])
    expect(entries.map(({ details }) => details.runs).sort()).toEqual([1, 3])
  })

  test('is of everything that matches a filter, or a failure group', async () => {
    const tenantId = await kit.tenant()
    const failed = await failures(tenantId, 4)
    const key = await keyOf(tenantId, scopes)
    const { fingerprint, createdAt } = await runs.get(failed[0]!)
    const filter = {
      fingerprint,
      state: ['failed'],
      task: 'api/flaky',
      from: createdAt.toISOString(),
      triggeredBy: 'app',
    }
    const { status, body } = await key.post('/replays', { filter })
    expect({ status, total: body.total, selection: body.selection }).toEqual({
      status: 201,
      total: 2,
      selection: { filter },
    })
    const odd = await key.post('/replays', { filter: { error: 'oddly', tenant: tenantId } })
    expect(odd.body).toMatchObject({ total: 2, selection: { filter: { error: 'oddly', tenant: tenantId } } })
  })

  test('with an edit: one payload for one run, or a patch for many', async () => {
    const tenantId = await kit.tenant()
    const [first, ...others] = await failures(tenantId, 3)
    const key = await keyOf(tenantId, scopes)
    const outputs = async (body: unknown) => {
      const { id } = (await key.post('/replays', body)).body
      await key.post(`/replays/${id}/confirm`, { reason })
      await finish(id)
      await kit.drain()
      const done = await bulkActions.runs(id)
      return await Promise.all(done.map(async ({ newRunId }) => (await runs.get(newRunId!)).output))
    }
    const payload = { tenantId, n: 40, note: 'whole' }
    expect(await outputs({ runIds: [first], edit: { payload } })).toEqual([{ n: 40, note: 'whole' }])
    expect(await outputs({ runIds: others, edit: { patch: { note: 'patched' } } })).toEqual([
      { n: 1, note: 'patched' },
      { n: 2, note: 'patched' },
    ])
  })

  test('says which runs cannot be replayed, by path and rule', async () => {
    const tenantId = await kit.tenant()
    const runIds = await failures(tenantId, 2)
    const key = await keyOf(tenantId, scopes)
    const { body } = await key.post('/replays', { runIds, edit: { patch: { n: 'a-secret-text' } } })
    expect(body).toMatchObject({ total: 2, counts: { refused: 2 } })
    expect(body.refused[0]).toMatchObject({ runId: runIds[0], problem: expect.stringMatching(/^n: /) })
    expect(JSON.stringify(body)).not.toContain('a-secret-text')
  })

  test('can be stopped', async () => {
    const tenantId = await kit.tenant()
    const runIds = await failures(tenantId, 2)
    const key = await keyOf(tenantId, scopes)
    const { id } = (await key.post('/replays', { runIds })).body
    expect(await key.post(`/replays/${id}/stop`)).toMatchObject({
      status: 200,
      body: { state: 'stopped', counts: { skipped: 2 } },
    })
    expect(await key.post(`/replays/${id}/confirm`, { reason })).toMatchObject({
      status: 409,
      body: { code: 'BULK_ACTION_STATE' },
    })
  })

  test('a tenant cannot change whose it is', async () => {
    const [tenantId, foreign] = [await kit.tenant(), await kit.tenant()]
    const runIds = await failures(tenantId, 1)
    const key = await keyOf(tenantId, scopes)
    const patched = await key.post('/replays', { runIds, edit: { patch: { tenantId: foreign } } })
    expect(patched).toMatchObject({ status: 422, body: { code: 'BULK_ACTION_INVALID' } })
    const edited = await key.post('/replays', { runIds, edit: { payload: { tenantId: foreign, n: 1 } } })
    expect(edited.body).toMatchObject({ counts: { refused: 1, waiting: 0 } })
  })

  test.each([
    [{}, 400],
    [{ runIds: [] }, 400],
    [{ runIds: ['x'] }, 400],
    [{ runIds: [randomUUID()], filter: {} }, 400],
    [{ filter: { tenants: [] } }, 400],
    [{ filter: { state: 'failed' } }, 400],
    [{ filter: { state: ['running'] } }, 400],
    [{ filter: {}, edit: { payload: {} } }, 422],
    [{ filter: {}, edit: {} }, 400],
    [{ filter: {}, edit: { patch: { note: 'a\0b' } } }, 422],
    [{ filter: {}, edit: { patch: { note: 'half \ud83d of it' } } }, 422],
    [{ filter: { error: 'half \ud83d of it' } }, 400],
    [{ runIds: [randomUUID()] }, 404],
  ])('%j is refused', async (body, status) => {
    const key = await keyOf(null, scopes)
    const answer = await key.post('/replays', body)
    expect(answer).toMatchObject({ status, body: { code: expect.any(String) } })
  })

  test('needs a reason, and a pace that can be kept', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, scopes)
    const { id } = (await key.post('/replays', { runIds: await failures(tenantId, 1) })).body
    for (const [body, status] of [
      [{}, 400],
      [{ reason: '' }, 400],
      [{ reason: '  ' }, 422],
      [{ reason, perSecond: 0 }, 400],
      [undefined, 400],
    ] as const) {
      expect(await key.post(`/replays/${id}/confirm`, body)).toMatchObject({ status })
    }
    expect(await bulkActions.get(id)).toMatchObject({ state: 'previewed' })
  })
})

describe('a cancellation', () => {
  test('ends what is open', async () => {
    const tenantId = await kit.tenant()
    const handles = [
      await flaky.trigger({ tenantId, n: 1 }, { delay: '1h' }),
      await flaky.trigger({ tenantId, n: 2 }, { delay: '1h' }),
    ]
    const admin = await userOf('admin', tenantId)
    const preview = await admin.post('/cancellations', { filter: { task: 'api/flaky' } })
    expect(preview).toMatchObject({ status: 201, body: { kind: 'cancel', total: 2 } })
    const { id } = preview.body
    expect(await admin.post(`/cancellations/${id}/confirm`, { reason })).toMatchObject({ status: 200 })
    await finish(id)
    for (const handle of handles) expect(await runs.get(handle.id)).toMatchObject({ state: 'cancelled' })
    expect(await admin.get(`/cancellations/${id}/runs`)).toMatchObject({
      body: { runs: [{ state: 'done', newRunId: null }, { state: 'done' }] },
    })
  })

  test('edits nothing', async () => {
    const key = await keyOf(null, scopes)
    const body = { filter: {}, edit: { patch: {} } }
    expect(await key.post('/cancellations', body)).toMatchObject({ status: 400 })
  })

  test('is no replay, nor the other way round', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, scopes)
    const replay = (await key.post('/replays', { runIds: await failures(tenantId, 1) })).body.id
    await flaky.trigger({ tenantId, n: 1 }, { delay: '1h' })
    const cancel = (await key.post('/cancellations', { filter: {} })).body.id
    for (const path of [`/replays/${cancel}`, `/cancellations/${replay}`]) {
      expect(await key.get(path)).toMatchObject({ status: 404 })
      expect(await key.post(`${path}/stop`)).toMatchObject({ status: 404 })
      expect(await key.post(`${path}/confirm`, { reason })).toMatchObject({ status: 404 })
    }
    const listed = async (path: string) =>
      (await key.get(path)).body.actions.map(({ id }: { id: string }) => id)
    expect(await listed('/replays')).toEqual([replay])
    expect(await listed('/cancellations')).toEqual([cancel])
    const onlyCancels = await keyOf(tenantId, ['runs:read', 'runs:cancel'])
    expect(await onlyCancels.get(`/replays/${replay}`)).toMatchObject({ status: 403 })
  })
})

describe('of several tenants', () => {
  test('it does not exist for whoever may not for each of them', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const runIds = [...(await failures(one, 1)), ...(await failures(two, 1))]
    const owner = await userOf('owner', one)
    expect(await owner.post('/replays', { runIds })).toMatchObject({
      status: 404,
      body: { code: 'RUN_UNKNOWN' },
    })
    const operator = await userOf('operator')
    const { id } = (await operator.post('/replays', { runIds })).body
    await isNothingTo(owner, id)
    const both = await userOf('owner', one, two)
    expect(await both.get(`/replays/${id}`)).toMatchObject({ status: 200 })
  })

  test('a filter finds only what is their own', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const [own] = await failures(one, 1)
    const [foreign] = await failures(two, 1)
    const { fingerprint } = await runs.get(foreign!)
    const owner = await userOf('owner', one)
    for (const filter of [{}, { fingerprint }]) {
      const { body } = await owner.post('/replays', { filter })
      expect(body).toMatchObject({ total: 1, tenantIds: [one] })
      const { runs: found } = (await owner.get(`/replays/${body.id}/runs`)).body
      expect(found).toMatchObject([{ runId: own }])
    }
    for (const filter of [{ tenant: two }, { id: foreign!.slice(0, 12) }]) {
      const { body } = await owner.post('/replays', { filter })
      expect(body).toMatchObject({ total: 0, tenants: [] })
      expect(await owner.get(`/replays/${body.id}`)).toMatchObject({ status: 200 })
    }
  })

  test("one of no runs is its maker's, and nobody else's", async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const operator = await userOf('operator')
    const { id } = (await operator.post('/replays', { filter: { tenant: two } })).body
    expect(await operator.get(`/replays/${id}`)).toMatchObject({ status: 200, body: { total: 0 } })
    await isNothingTo(await userOf('owner', one), id)
  })
})

async function isNothingTo(caller: Caller, id: string): Promise<void> {
  expect(await caller.get(`/replays/${id}`)).toMatchObject({ status: 404 })
  expect(await caller.get(`/replays/${id}/runs`)).toMatchObject({ status: 404 })
  expect(await caller.get(`/replays/${id}/results`)).toMatchObject({ status: 404 })
  expect(await caller.post(`/replays/${id}/confirm`, { reason })).toMatchObject({ status: 404 })
  expect(await caller.post(`/replays/${id}/stop`)).toMatchObject({ status: 404 })
  expect(JSON.stringify((await caller.get('/replays')).body)).not.toContain(id)
}
