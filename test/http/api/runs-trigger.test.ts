import { randomUUID } from 'node:crypto'
import { runs, suspendTenant } from '@cgk-platform/jobs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type HttpServer, startHttpServer } from '../../../src/http/server.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { app, callerWith, keyOf, keyText, kit, onPlatform, userOf } from './kit.ts'

const order = defineTask({
  id: 'api/order',
  payload: tenantPayload({ n: z.number(), note: z.string().default('none') }),
  run: ({ n, note }) => ({ n, note }),
})
const other = defineTask({ id: 'api/other', payload: tenantPayload({ n: z.number() }), run: () => null })

onPlatform({ tasks: [order, other] })

const task = 'api/order'

describe('POST /runs', () => {
  test('triggers a task, and the run says who did', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const options = { delay: '1h', tags: ['x'], priority: 7, maxAttempts: 2 }
    const answer = await key.post('/runs', { task, payload: { tenantId, n: 1 }, options })
    expect(answer).toEqual({
      status: 201,
      body: { id: expect.any(String) },
      headers: expect.anything(),
    })
    expect(await runs.get(answer.body.id)).toMatchObject({
      taskId: task,
      tenantId,
      state: 'scheduled',
      payload: { tenantId, n: 1 },
      tags: ['x'],
      priority: 7,
      maxAttempts: 2,
      triggeredBy: { kind: 'app', ref: expect.stringMatching(/^key test \(cgk_live_/) },
    })
  })

  test('by a person it says which', async () => {
    const tenantId = await kit.tenant()
    const member = await userOf('member', tenantId)
    const { body } = await member.post('/runs', { task, payload: { tenantId, n: 1 } })
    const { triggeredBy } = await runs.get(body.id)
    expect(triggeredBy).toEqual({ kind: 'app', ref: expect.stringMatching(/^user .*@x\.test$/) })
  })

  test('runs what was triggered', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(null, ['runs:trigger'])
    const { body } = await key.post('/runs', { task, payload: { tenantId, n: 5 } })
    await kit.drain()
    expect(await runs.get(body.id)).toMatchObject({ state: 'completed', output: { n: 5, note: 'none' } })
  })

  test("another tenant's payload is refused before anything else is told", async () => {
    const [own, foreign] = [await kit.tenant(), await kit.tenant()]
    await suspendTenant(foreign)
    const key = await keyOf(own, ['runs:trigger', 'runs:read'])
    const bodies = [
      { task, payload: { tenantId: foreign, n: 1 } },
      { task, payload: { tenantId: foreign, n: 'wrong' } },
      { task: 'no/such', payload: { tenantId: foreign } },
      { task, payload: { tenantId: 'nobody_has_this' } },
    ]
    const answers = await Promise.all(bodies.map((body) => key.post('/runs', body)))
    for (const { status, body } of answers) expect({ status, body }).toMatchObject({ status: 403 })
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  })

  test('refuses what cannot be queued, and says why', async () => {
    const [tenantId, suspended] = [await kit.tenant(), await kit.tenant()]
    await suspendTenant(suspended)
    const key = await keyOf(null, ['runs:trigger'])
    const payload = { tenantId, n: 1 }
    const cases: [body: unknown, status: number, code: string, paths?: string[]][] = [
      [{ task: 'no/such', payload }, 404, 'TASK_UNKNOWN'],
      [{ task, payload: { tenantId: 'nobody_has_this', n: 1 } }, 404, 'TENANT_UNKNOWN'],
      [{ task, payload: { tenantId: suspended, n: 1 } }, 409, 'TENANT_SUSPENDED'],
      [{ task, payload: { tenantId, n: 'secret-value' } }, 422, 'PAYLOAD_INVALID', ['n']],
      [{ task, payload: { tenantId, n: 1, m: 2 } }, 422, 'PAYLOAD_INVALID', ['']],
      [{ task, payload, options: { delay: 'soon' } }, 422, 'TRIGGER_OPTIONS_INVALID'],
      [{ task, payload, options: { later: 1 } }, 400, 'REQUEST_INVALID', ['options']],
      [{ task, payload: { tenantId, n: 1, note: 'a\0b' } }, 422, 'PAYLOAD_INVALID', ['note']],
      [{ task: 'a\0b', payload }, 404, 'TASK_UNKNOWN'],
      [{ task, payload, options: { tags: ['half \ud83d'] } }, 422, 'TRIGGER_OPTIONS_INVALID'],
      [{ task, payload: { n: 1 } }, 400, 'REQUEST_INVALID', ['payload.tenantId']],
      [{ task, payload: { tenantId: 'No Slug' } }, 400, 'REQUEST_INVALID', ['payload.tenantId']],
      [{ payload }, 400, 'REQUEST_INVALID', ['task']],
      [{ task, payload, extra: 1 }, 400, 'REQUEST_INVALID', ['']],
      ['{"task":', 400, 'BODY_UNREADABLE'],
    ]
    for (const [sent, status, code, paths] of cases) {
      const { body, ...answer } = await key.post('/runs', sent)
      expect({ sent, status: answer.status, code: body.code }).toEqual({ sent, status, code })
      expect(body.issues?.map(({ path }: { path: string }) => path)).toEqual(paths)
      expect(JSON.stringify(body)).not.toContain('secret-value')
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
    }
    expect((await runs.list({ tenantId })).runs).toEqual([])
  })

  test('a body that is too large is not read', async () => {
    const key = await keyOf(null, ['runs:trigger'])
    const answer = await key.post('/runs', ' '.repeat(17 * 1024 * 1024))
    expect(answer).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } })
  })
})

describe('Idempotency-Key', () => {
  test('the same request again is the same run, also at the same moment and when it has ended', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const send = () =>
      key.post('/runs', { task, payload: { tenantId, n: 1 } }, { 'idempotency-key': 'order 1' })
    const together = await Promise.all([send(), send(), send(), send()])
    await kit.drain()
    const answers = [...together, await send()]
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201])
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    await kit.drain()
    expect((await runs.list({ tenantId })).runs).toMatchObject([{ state: 'completed' }])
  })

  test('another request with it is refused', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const header = { 'idempotency-key': randomUUID() }
    const first = { task, payload: { tenantId, n: 1 } }
    expect(await key.post('/runs', first, header)).toMatchObject({ status: 201 })
    for (const body of [
      { task, payload: { tenantId, n: 2 } },
      { task: 'api/other', payload: { tenantId, n: 1 } },
    ]) {
      expect(await key.post('/runs', body, header)).toMatchObject({
        status: 409,
        body: { code: 'IDEMPOTENCY_KEY_REUSED' },
      })
    }
    expect((await runs.list({ tenantId })).runs).toHaveLength(1)
  })

  test('and so are other options; the order of fields is nothing', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const header = { 'idempotency-key': randomUUID() }
    const first = { task, payload: { tenantId, n: 1 }, options: { delay: '1h', tags: ['a'] } }
    const { body } = await key.post('/runs', first, header)
    const same = { options: { tags: ['a'], delay: '1h' }, payload: { n: 1, tenantId }, task }
    expect(await key.post('/runs', same, header)).toMatchObject({ status: 201, body })
    for (const options of [undefined, { delay: '2h', tags: ['a'] }, { delay: '1h', tags: ['a', 'b'] }]) {
      expect(await key.post('/runs', { ...first, options }, header)).toMatchObject({
        status: 409,
        body: { code: 'IDEMPOTENCY_KEY_REUSED' },
      })
    }
  })

  test('is told from another by the runs, where it was sent so long ago that nothing else is left', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const header = { 'idempotency-key': randomUUID() }
    const first = { task, payload: { tenantId, n: 1 } }
    const { body } = await key.post('/runs', first, header)
    const { database } = await kit.platform.ready()
    const count = async () =>
      (await database.query('SELECT FROM public.platform_request_keys WHERE sent_at < now()')).rowCount
    const before = await count()
    await database.query("UPDATE public.platform_request_keys SET sent_at = now() - interval '8 days'")
    // Whoever comes next sweeps a few, but not their own.
    await key.post('/runs', first, { 'idempotency-key': randomUUID() })
    expect(await count()).toBe(Math.max(0, before - 10) + 1)
    await database.query('DELETE FROM public.platform_request_keys')
    const again = await key.post('/runs', { task, payload: { tenantId, n: 2 } }, header)
    expect(again).toMatchObject({ status: 409, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
    await database.query('DELETE FROM public.platform_request_keys')
    expect(await key.post('/runs', first, header)).toMatchObject({ status: 201, body })
  })

  test('is whoever sends it own: the same from somebody else is another run', async () => {
    const tenantId = await kit.tenant()
    const header = { 'idempotency-key': 'same' }
    const body = { task, payload: { tenantId, n: 1 } }
    const answers = [
      await (await keyOf(tenantId, ['runs:trigger'])).post('/runs', body, header),
      await (await keyOf(tenantId, ['runs:trigger'])).post('/runs', body, header),
    ]
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(2)
  })

  test('goes together with the idempotency key of the run', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const body = { task, payload: { tenantId, n: 1 }, options: { idempotencyKey: 'once' } }
    const send = (header: string) => key.post('/runs', body, { 'idempotency-key': header })
    const answers = [await send('a'), await send('a'), await send('b'), await send('b')]
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1)
  })

  test('has 1 to 200 characters', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const body = { task, payload: { tenantId, n: 1 } }
    for (const header of ['', 'x'.repeat(201)]) {
      expect(await key.post('/runs', body, { 'idempotency-key': header })).toMatchObject({
        status: 400,
        body: { issues: [{ path: 'idempotency-key' }] },
      })
    }
  })

  test('of a batch: all of them are the same runs', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const items = [1, 2, 3].map((n) => ({ payload: { tenantId, n } }))
    const send = (some: unknown[]) =>
      key.post('/runs/batch', { task, items: some }, { 'idempotency-key': 'batch' })
    const first = await send(items)
    await kit.drain()
    expect((await send(items)).body).toEqual(first.body)
    for (const others of [[...items, items[0]], [items[1]]]) {
      expect(await send(others)).toMatchObject({ status: 409, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
    }
    expect((await runs.list({ tenantId })).runs).toHaveLength(3)
  })
})

describe('Idempotency-Key, by requests at the same moment to a real server', () => {
  let server: HttpServer
  beforeAll(async () => {
    server = await startHttpServer({ fetch: (request) => app.fetch(request), port: 0 })
  })
  afterAll(() => server.stop({ timeoutMs: 0 }))

  async function together(tenantId: string, path: string, bodies: readonly unknown[]) {
    const headers = {
      authorization: `Bearer ${await keyText(tenantId, ['runs:trigger'])}`,
      'content-type': 'application/json',
      'idempotency-key': randomUUID(),
    }
    const send = async (body: unknown) => {
      const url = `${server.url}/api/v1${path}`
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
      // biome-ignore lint/suspicious/noExplicitAny: what the API answers is what the test says it is.
      return { status: response.status, body: (await response.json()) as any }
    }
    return await Promise.all(bodies.map(send))
  }

  test('the same is one run', async () => {
    const tenantId = await kit.tenant()
    const body = { task, payload: { tenantId, n: 1 } }
    const answers = await together(tenantId, '/runs', Array(12).fill(body))
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1)
    expect((await runs.list({ tenantId })).runs.map(({ id }) => id)).toEqual([answers[0]!.body.id])
  })

  test('of different ones one is taken, and each of the others told that it was not', async () => {
    for (const other of [
      (tenantId: string, n: number) => ({ task, payload: { tenantId, n } }),
      (tenantId: string, n: number) => ({ task: n % 2 ? task : 'api/other', payload: { tenantId, n: 1 } }),
      (tenantId: string, n: number) => ({ task, payload: { tenantId, n: 1 }, options: { priority: n } }),
    ]) {
      const tenantId = await kit.tenant()
      const bodies = Array.from({ length: 8 }, (_, n) => other(tenantId, n))
      const answers = await together(tenantId, '/runs', bodies)
      const taken = answers.flatMap(({ status, body }, n) => (status === 201 ? [{ n, id: body.id }] : []))
      const made = (await runs.list({ tenantId })).runs
      expect(made.map(({ id }) => id)).toEqual([taken[0]!.id])
      for (const { n } of taken) expect(bodies[n]).toEqual(bodies[taken[0]!.n])
      for (const { status, body } of answers.filter((one) => one.status !== 201)) {
        expect({ status, body }).toMatchObject({ status: 409, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
      }
      expect(made[0]).toMatchObject({
        taskId: bodies[taken[0]!.n]!.task,
        payload: bodies[taken[0]!.n]!.payload,
      })
    }
  })

  test('of batches as well: never some of one and some of another', async () => {
    const tenantId = await kit.tenant()
    const batch = (length: number) => ({
      task,
      items: Array.from({ length }, () => ({ payload: { tenantId, n: length } })),
    })
    const answers = await together(tenantId, '/runs/batch', [1, 2, 3, 4, 5, 1, 2, 3, 4, 5].map(batch))
    const taken = answers.filter(({ status }) => status === 201)
    expect(new Set(taken.map(({ body }) => JSON.stringify(body.ids))).size).toBe(1)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(8)
    const { ids } = taken[0]!.body
    const made = (await runs.list({ tenantId })).runs
    expect(made.map(({ id }) => id).sort()).toEqual([...ids].sort())
    for (const { payload } of made) expect(payload).toMatchObject({ n: ids.length })
  })
})

describe('POST /runs/batch', () => {
  test('triggers all, in order', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const key = await keyOf(null, ['runs:trigger'])
    const items = [
      { payload: { tenantId: one, n: 1 } },
      { payload: { tenantId: two, n: 2 }, options: { tags: ['second'] } },
    ]
    const { status, body } = await key.post('/runs/batch', { task, items })
    expect(status).toBe(201)
    expect(await runs.get(body.ids[0])).toMatchObject({ tenantId: one, payload: { n: 1 } })
    expect(await runs.get(body.ids[1])).toMatchObject({ tenantId: two, tags: ['second'] })
  })

  test('or none, and says which item is wrong', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    const items = [{ payload: { tenantId, n: 1 } }, { payload: { tenantId, n: 'x' } }]
    expect(await key.post('/runs/batch', { task, items })).toMatchObject({
      status: 422,
      body: { code: 'PAYLOAD_INVALID', issues: [{ path: 'items.1.payload.n' }] },
    })
    expect((await runs.list({ tenantId })).runs).toEqual([])
  })

  test("one item of another tenant's, and all are refused", async () => {
    const [own, foreign] = [await kit.tenant(), await kit.tenant()]
    const key = await keyOf(own, ['runs:trigger'])
    const items = [{ payload: { tenantId: own, n: 'wrong' } }, { payload: { tenantId: foreign, n: 1 } }]
    expect(await key.post('/runs/batch', { task: 'no/such', items })).toMatchObject({ status: 403 })
    expect((await runs.list({ tenantId: own })).runs).toEqual([])
  })

  test('of 1 to 1,000 items', async () => {
    const tenantId = await kit.tenant()
    const key = await keyOf(tenantId, ['runs:trigger'])
    for (const length of [0, 1_001]) {
      const items = Array.from({ length }, () => ({ payload: { tenantId, n: 1 } }))
      expect(await key.post('/runs/batch', { task, items })).toMatchObject({
        status: 400,
        body: { issues: [{ path: 'items' }] },
      })
    }
  })
})

test('of headers only the key counts: who somebody says they are is nothing', async () => {
  const tenantId = await kit.tenant()
  const liar = callerWith({ 'x-tenant-id': tenantId, 'x-user-id': '1', 'x-forwarded-user': 'root' })
  expect(await liar.post('/runs', { task, payload: { tenantId, n: 1 } })).toMatchObject({ status: 401 })
})
