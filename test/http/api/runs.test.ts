import { randomUUID } from 'node:crypto'
import { audit, runs } from '@cgk-platform/jobs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { AbortTaskError } from '../../../src/errors.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { type Caller, keyOf, kit, onPlatform, userOf } from './kit.ts'

const note = defineTask({
  id: 'api/note',
  payload: tenantPayload({
    text: z.string().meta({ pii: true }).default('hello'),
    size: z.string().optional(),
  }),
  run: ({ text }, { logger, progress }) => {
    logger.info({ length: text.length }, 'Noting')
    progress({ current: 1, total: 2 })
    return { text }
  },
})
const broken = defineTask({
  id: 'api/broken',
  payload: tenantPayload({}),
  run: () => {
    throw new AbortTaskError('The disk is full')
  },
})

onPlatform({ tasks: [note, broken] })

const ids = ({ body }: { body: { runs: { id: string }[] } }) => body.runs.map(({ id }) => id)

describe('GET /runs', () => {
  test('lists the runs of the tenant, newest first, page by page', async () => {
    const tenantId = await kit.tenant()
    const made: string[] = []
    for (const text of ['a', 'b', 'c']) made.unshift((await note.trigger({ tenantId, text })).id)
    const key = await keyOf(tenantId, ['runs:read'])
    const first = await key.get('/runs?limit=2')
    expect(first).toMatchObject({ status: 200, body: { next: expect.any(String) } })
    const second = await key.get(`/runs?limit=2&after=${encodeURIComponent(first.body.next)}`)
    expect([...ids(first), ...ids(second)]).toEqual(made)
    expect(second.body.next).toBeNull()
    expect(first.headers.get('cache-control')).toBe('no-store')
  })

  test('filters by everything that the library does', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:read'])
    const [noted, failed, later] = [
      await note.trigger({ tenantId }, { tags: ['blue & green'] }),
      await broken.trigger({ tenantId }),
      await note.trigger({ tenantId }, { delay: '1h' }),
    ]
    await kit.drain()
    const replayed = await runs.replay(failed.id)
    await kit.drain()
    const { fingerprint, createdAt } = await runs.get(failed.id)
    const cases: [query: Record<string, string>, found: { id: string }[]][] = [
      [{ tenant: tenantId, task: 'api/broken' }, [replayed, failed]],
      [{ state: 'completed,scheduled' }, [later, noted]],
      [{ tag: 'blue & green' }, [noted]],
      [{ fingerprint: fingerprint! }, [replayed, failed]],
      [{ error: 'DISK is' }, [replayed, failed]],
      [{ id: failed.id.slice(0, 8), task: 'api/broken' }, [failed]],
      [{ triggeredBy: 'replay' }, [replayed]],
      [{ triggeredBy: `replay:${failed.id}` }, [replayed]],
      [{ triggeredBy: 'replay:other' }, []],
      [{ replayOf: failed.id }, [replayed]],
      [{ to: createdAt.toISOString() }, [noted]],
      [{ from: new Date(createdAt.getTime() + 1).toISOString() }, [replayed, later]],
    ]
    for (const [query, found] of cases) {
      const answer = await key.get(`/runs?${new URLSearchParams(query)}`)
      expect({ query, found: ids(answer) }).toEqual({ query, found: found.map(({ id }) => id) })
    }
    const twoStates = await key.get('/runs?state=completed&state=scheduled')
    expect(ids(twoStates)).toEqual([later.id, noted.id])
  })

  test.each([
    ['nonsense=1', ''],
    ['tenant=No', 'tenant'],
    ['state=gone', 'state.0'],
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['from=yesterday', 'from'],
    ['triggeredBy=magic', 'triggeredBy'],
    ['replayOf=1', 'replayOf'],
    ['tag=a&tag=b', 'tag'],
    ['tag=%00', 'tag'],
  ])('refuses ?%s', async (query, path) => {
    const key = await keyOf(null, ['runs:read'])
    expect(await key.get(`/runs?${query}`)).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', issues: [{ path }] },
    })
  })

  test.each(['after=x', 'id=zz'])('the library refuses ?%s', async (query) => {
    const key = await keyOf(null, ['runs:read'])
    expect(await key.get(`/runs?${query}`)).toMatchObject({
      status: 400,
      body: { code: 'RUN_FILTER_INVALID' },
    })
  })

  test('shows each what is theirs, and all to whoever sees all', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const [ofOne, ofTwo] = [await note.trigger({ tenantId: one }), await note.trigger({ tenantId: two })]
    const owner = await userOf('owner', one)
    expect(ids(await owner.get('/runs'))).toEqual([ofOne.id])
    expect(ids(await owner.get(`/runs?tenant=${two}`))).toEqual([])
    expect(ids(await owner.get(`/runs?id=${ofTwo.id}`))).toEqual([])
    const operator = await userOf('operator')
    expect(ids(await operator.get('/runs?limit=2'))).toEqual([ofTwo.id, ofOne.id])
    expect(ids(await operator.get(`/runs?tenant=${two}`))).toEqual([ofTwo.id])
  })

  test('asks whoever is in several tenants which of them is meant', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const { id } = await note.trigger({ tenantId: two })
    const member = await userOf('member', one, two)
    expect(await member.get('/runs')).toMatchObject({ status: 400, body: { code: 'TENANT_NOT_CHOSEN' } })
    expect(ids(await member.get(`/runs?tenant=${two}`))).toEqual([id])
    await member.chooses(two)
    expect(ids(await member.get('/runs'))).toEqual([id])
  })
})

describe('GET /runs/counts', () => {
  test('counts what has ended in a day and what is open, by task, tenant and state', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    for (const tenantId of [one, one, two]) await note.trigger({ tenantId })
    await broken.trigger({ tenantId: one })
    await kit.drain()
    await note.trigger({ tenantId: one }, { delay: '1h' })
    const of = (taskId: string, tenantId: string, state: string, runs: number) => ({
      taskId,
      tenantId,
      state,
      runs,
    })
    const ofOne = [
      of('api/note', one, 'completed', 2),
      of('api/note', one, 'scheduled', 1),
      of('api/broken', one, 'failed', 1),
    ]
    const ofTwo = [of('api/note', two, 'completed', 1)]
    const counted = async (caller: Caller, query = '') =>
      (await caller.get(`/runs/counts${query}`)).body.counts
    const same = (expected: unknown[]) =>
      expect.toSatisfy((counts: unknown[]) => {
        expect(counts).toHaveLength(expected.length)
        expect(counts).toEqual(expect.arrayContaining(expected))
        return true
      })
    const owner = await userOf('owner', one)
    expect(await counted(owner)).toEqual(same(ofOne))
    expect(await counted(owner, `?tenant=${two}`)).toEqual([])
    expect(await counted(owner, '?task=api%2Fbroken')).toEqual([ofOne[2]])
    const hourAgo = new Date(Date.now() - 3_600_000).toISOString()
    expect(await counted(owner, `?to=${hourAgo}`)).toEqual([ofOne[1]])
    expect(await counted(await userOf('member', one, two))).toEqual(same([...ofOne, ...ofTwo]))
    expect(await counted(await userOf('operator'))).toEqual(expect.arrayContaining([...ofOne, ...ofTwo]))
  })

  test('refuses what it cannot count by', async () => {
    const key = await keyOf(null, ['runs:read'])
    expect(await key.get('/runs/counts?tag=x')).toMatchObject({ status: 400 })
    expect(await key.get('/runs/counts?from=now')).toMatchObject({ status: 400 })
  })
})

describe('GET /runs/:id', () => {
  test('tells of a run that has completed', async () => {
    const tenantId = await kit.tenant()
    const { id } = await note.trigger({ tenantId, text: 'hi' }, { tags: ['t'], priority: 3 })
    await kit.drain()
    const key = await keyOf(tenantId, ['runs:read', 'payload:read'])
    expect(await key.get(`/runs/${id}`)).toMatchObject({
      status: 200,
      body: {
        id,
        taskId: 'api/note',
        tenantId,
        state: 'completed',
        payload: { tenantId, text: 'hi' },
        output: { text: 'hi' },
        tags: ['t'],
        priority: 3,
        triggeredBy: { kind: 'app', ref: null },
        replayOf: null,
        credentials: {},
        createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
        attempts: [],
        progress: { attempt: 1, fraction: 0.5, current: 1, total: 2, message: null },
      },
    })
  })

  test('tells why one has failed', async () => {
    const tenantId = await kit.tenant()
    const { id } = await broken.trigger({ tenantId })
    await kit.drain()
    const { body } = await (await userOf('member', tenantId)).get(`/runs/${id}`)
    const error = { name: 'AbortTaskError', message: 'The disk is full', stack: expect.any(String) }
    expect(body).toMatchObject({ state: 'failed', error, progress: null })
    expect(body.attempts).toMatchObject([
      { attempt: 1, result: 'failed', error, fingerprint: body.fingerprint },
    ])
  })

  test('masks what is marked in the payload, and the output, for those who may not read payloads', async () => {
    const tenantId = await kit.tenant()
    const { id } = await note.trigger({ tenantId, text: 'private', size: 'XL' })
    await kit.drain()
    const callers: [Caller, boolean][] = [
      [await userOf('member', tenantId), false],
      [await userOf('admin', tenantId), false],
      [await userOf('operator'), false],
      [await keyOf(tenantId, ['runs:read']), false],
      [await userOf('owner', tenantId), true],
      [await keyOf(null, ['runs:read', 'payload:read']), true],
    ]
    for (const [caller, opened] of callers) {
      for (const path of [`/runs/${id}`, `/runs?tenant=${tenantId}`]) {
        const { body } = await caller.get(path)
        expect((body.runs?.[0] ?? body).payload).toMatchObject({ tenantId, size: 'XL' })
        expect(JSON.stringify(body).includes('private')).toBe(opened)
      }
    }
  })
})

describe('POST /runs/:id/cancel', () => {
  test('ends an open run, once, and says so in the audit log', async () => {
    const tenantId = await kit.tenant()
    const { id } = await note.trigger({ tenantId }, { delay: '1h' })
    const key = await keyOf(tenantId, ['runs:read', 'runs:cancel'])
    expect(await key.post(`/runs/${id}/cancel`)).toMatchObject({ status: 200, body: { cancelled: true } })
    expect(await key.post(`/runs/${id}/cancel`)).toMatchObject({ status: 200, body: { cancelled: false } })
    expect((await audit.list({ tenantIds: [tenantId] })).entries).toMatchObject([
      { action: 'run.cancel', subject: id, actor: { kind: 'key', name: expect.stringMatching(/^test /) } },
    ])
  })

  test('is of a run that is there, and named by its id', async () => {
    const admin = await userOf('admin', await kit.tenant())
    expect(await admin.post(`/runs/${randomUUID()}/cancel`)).toMatchObject({ status: 404 })
    expect(await admin.post('/runs/nonsense/cancel')).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', issues: [{ path: 'runId' }] },
    })
  })

  test('is not for those who may only look', async () => {
    const tenantId = await kit.tenant()
    const { id } = await note.trigger({ tenantId }, { delay: '1h' })
    expect(await (await userOf('member', tenantId)).post(`/runs/${id}/cancel`)).toMatchObject({ status: 403 })
    expect(await runs.get(id)).toMatchObject({ state: 'scheduled' })
  })
})

describe('POST /runs/:id/reschedule', () => {
  test('gives a run that waits another start, and says so in the audit log', async () => {
    const tenantId = await kit.tenant()
    const { id } = await note.trigger({ tenantId }, { delay: '1h' })
    const admin = await userOf('admin', tenantId)
    const runAt = new Date(Date.now() + 7_200_000).toISOString()
    expect(await admin.post(`/runs/${id}/reschedule`, { runAt })).toMatchObject({
      status: 200,
      body: { rescheduled: true },
    })
    expect((await runs.get(id)).runAt.toISOString()).toBe(runAt)
    expect(await admin.post(`/runs/${id}/reschedule`, { delay: 0 })).toMatchObject({ status: 200 })
    await kit.drain()
    expect(await admin.post(`/runs/${id}/reschedule`, { delay: '1m' })).toMatchObject({
      body: { rescheduled: false },
    })
    const { entries } = await audit.list({ tenantIds: [tenantId] })
    expect(entries.map(({ action }) => action)).toEqual(['run.reschedule', 'run.reschedule'])
  })

  test.each([
    [{}, 400],
    [{ delay: '1h', runAt: '2030-01-01T00:00:00Z' }, 400],
    [{ delay: 'soon' }, 422],
    [{ at: 1 }, 400],
    ['no json', 400],
  ])('refuses %j', async (body, status) => {
    const tenantId = await kit.tenant()
    const { id } = await note.trigger({ tenantId }, { delay: '1h' })
    const answer = await (await userOf('admin', tenantId)).post(`/runs/${id}/reschedule`, body)
    expect(answer).toMatchObject({ status, body: { code: expect.any(String), detail: expect.any(String) } })
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })
})
