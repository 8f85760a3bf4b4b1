import { audit, runs } from '@cgk-platform/jobs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { AbortTaskError } from '../../../src/errors.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { type Caller, keyOf, kit, onPlatform, userOf } from './kit.ts'

const pay = defineTask({
  id: 'api/pay',
  payload: tenantPayload({ says: z.string() }),
  run: ({ says }) => {
    throw new AbortTaskError(says)
  },
})

onPlatform({ tasks: [pay] })

/** A message that no other test has; each run fails with it. */
let messages = 0
async function fail(...tenantIds: string[]): Promise<{ fingerprint: string; runIds: string[] }> {
  const word = String.fromCharCode(97 + messages++).repeat(3)
  const handles = []
  for (const tenantId of tenantIds) handles.push(await pay.trigger({ tenantId, says: `Refused ${word}` }))
  await kit.drain()
  const { fingerprint } = await runs.get(handles[0]!.id)
  return { fingerprint: fingerprint!, runIds: handles.map(({ id }) => id) }
}

const listed = async (caller: Caller, query = '') =>
  (await caller.get(`/failures${query}`)).body.failures.map(
    ({ fingerprint }: { fingerprint: string }) => fingerprint,
  )

describe('GET /failures', () => {
  test('shows groups, those seen last first, page by page', async () => {
    const tenantId = await kit.tenant()
    const [first, second] = [await fail(tenantId), await fail(tenantId, tenantId)]
    const member = await userOf('member', tenantId)
    const { status, body } = await member.get('/failures?limit=1')
    expect(status).toBe(200)
    expect(body.failures).toEqual([
      {
        fingerprint: second.fingerprint,
        state: 'open',
        taskId: 'api/pay',
        errorName: 'AbortTaskError',
        errorCode: 'TASK_ABORTED',
        message: expect.stringMatching(/^Refused /),
        frame: expect.any(String),
        failures: 2,
        tenants: 1,
        firstSeenAt: expect.stringMatching(/Z$/),
        lastSeenAt: expect.stringMatching(/Z$/),
        resolvedAt: null,
        ignoredUntil: null,
        hours: expect.arrayContaining([2]),
        last: {
          runId: expect.toBeOneOf(second.runIds),
          tenantId,
          message: expect.stringMatching(/^Refused /),
        },
      },
    ])
    expect(await listed(member, `?limit=1&after=${encodeURIComponent(body.next)}`)).toEqual([
      first.fingerprint,
    ])
    expect(await listed(member, '?task=api%2Fpay')).toHaveLength(2)
    expect(await listed(member, '?state=resolved')).toEqual([])
  })

  test('counts of the tenant alone for those of the tenant', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const { fingerprint } = await fail(one, two, two)
    const path = `/failures/${fingerprint}`
    expect(await (await userOf('owner', one)).get(path)).toMatchObject({
      status: 200,
      body: { failures: 1, tenants: 1, last: { tenantId: one } },
    })
    const operator = await userOf('operator')
    expect((await operator.get(path)).body).toMatchObject({ failures: 3, tenants: 2 })
    expect((await operator.get(`${path}?tenant=${two}`)).body).toMatchObject({ failures: 2, tenants: 1 })
    const stranger = await userOf('owner', await kit.tenant())
    expect(await stranger.get(path)).toMatchObject({ status: 404, body: { code: 'FAILURE_GROUP_UNKNOWN' } })
    expect(await stranger.get(`${path}?tenant=${one}`)).toMatchObject({ status: 404 })
    expect(await listed(stranger)).toEqual([])
    expect(await listed(stranger, `?tenant=${one}`)).toEqual([])
  })

  test.each(['state=gone', 'limit=0', 'after=x', 'tag=a'])('refuses ?%s', async (query) => {
    const key = await keyOf(null, ['runs:read'])
    expect(await key.get(`/failures?${query}`)).toMatchObject({ status: 400 })
  })
})

describe('a failure group', () => {
  test('is resolved, ignored and reopened, and the audit log says by whom', async () => {
    const tenantId = await kit.tenant()
    const { fingerprint } = await fail(tenantId)
    const admin = await userOf('admin', tenantId)
    const path = `/failures/${fingerprint}`
    const state = async () => (await admin.get(path)).body.state
    const until = new Date(Date.now() + 3_600_000).toISOString()
    expect(await admin.post(`${path}/resolve`)).toMatchObject({ status: 200, body: { fingerprint } })
    expect(await state()).toBe('resolved')
    expect(await admin.post(`${path}/ignore`, { until })).toMatchObject({ status: 200 })
    expect(await state()).toBe('ignored')
    expect(await admin.post(`${path}/reopen`)).toMatchObject({ status: 200 })
    expect(await state()).toBe('open')
    const { entries } = await audit.list({ tenantIds: [tenantId] })
    expect(entries).toMatchObject([
      { action: 'failure.reopen', subject: fingerprint, actor: { kind: 'user' } },
      { action: 'failure.ignore', details: { until } },
      { action: 'failure.resolve' },
    ])
  })

  test("that others share is marked as one's own, and nobody can tell the one from the other", async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const [alone, shared] = [await fail(one), await fail(one, two)]
    const until = new Date(Date.now() + 3_600_000).toISOString()
    const member = await userOf('member', one)
    const admin = await userOf('admin', one)
    for (const [mark, body] of [['ignore', { until }], ['reopen'], ['resolve']] as const) {
      for (const { fingerprint } of [alone, shared]) {
        const path = `/failures/${fingerprint}/${mark}`
        expect(await member.post(path, body)).toMatchObject({ status: 403 })
        expect(await admin.post(path, body)).toMatchObject({
          status: 200,
          body: { fingerprint, tenantId: one },
        })
      }
    }
    const unknown = `/failures/${'f'.repeat(20)}/resolve`
    expect(await member.post(unknown)).toMatchObject({ status: 403 })
    const own = async ({ fingerprint }: { fingerprint: string }) => {
      const { body } = await admin.get(`/failures/${fingerprint}`)
      const { state, failures, tenants, hours } = body
      return { state, failures, tenants, hours, keys: Object.keys(body) }
    }
    expect(await own(shared)).toEqual(await own(alone))
    expect(await own(shared)).toMatchObject({ state: 'resolved', failures: 1, tenants: 1 })
    const [operator, neighbour] = [await userOf('operator'), await userOf('owner', two)]
    for (const caller of [operator, neighbour]) {
      expect(await listed(caller, '?state=open')).toContain(shared.fingerprint)
    }
    const { entries } = await audit.list({ tenantIds: [one] })
    expect(entries).toHaveLength(6)
  })

  test('is marked for all by an operator, and for one tenant that is named', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const { fingerprint } = await fail(one, two)
    const path = `/failures/${fingerprint}`
    const operator = await userOf('operator')
    const states = async () => {
      const asked = ['', `?tenant=${one}`, `?tenant=${two}`].map((query) => operator.get(`${path}${query}`))
      return (await Promise.all(asked)).map(({ body }) => body.state)
    }
    expect(await operator.post(`${path}/resolve?tenant=${one}`)).toMatchObject({ body: { tenantId: one } })
    expect(await states()).toEqual(['open', 'resolved', 'open'])
    expect(await operator.post(`${path}/resolve`)).toMatchObject({ status: 200, body: { tenantId: null } })
    expect(await states()).toEqual(['resolved', 'resolved', 'resolved'])
  })

  test('is marked for the tenant that is named, by whoever is in several', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const { fingerprint } = await fail(one, two)
    const path = `/failures/${fingerprint}/resolve`
    const owner = await userOf('owner', one, two)
    expect(await owner.post(path)).toMatchObject({ status: 400, body: { code: 'TENANT_NOT_CHOSEN' } })
    expect(await owner.post(`${path}?tenant=${two}`)).toMatchObject({ status: 200, body: { tenantId: two } })
    const stranger = await userOf('owner', await kit.tenant())
    expect(await stranger.post(path)).toMatchObject({ status: 404 })
    expect(await stranger.post(`${path}?tenant=${one}`)).toMatchObject({ status: 404 })
  })

  test('is ignored until a time that lies ahead, at most a year', async () => {
    const { fingerprint } = await fail(await kit.tenant())
    const key = await keyOf(null, ['runs:read', 'failures:write'])
    for (const body of [{}, { until: 'later' }]) {
      expect(await key.post(`/failures/${fingerprint}/ignore`, body)).toMatchObject({ status: 400 })
    }
    for (const until of ['2020-01-01T00:00:00Z', '9999-01-01T00:00:00Z']) {
      expect(await key.post(`/failures/${fingerprint}/ignore`, { until })).toMatchObject({
        status: 422,
        body: { code: 'FAILURE_MARK_INVALID' },
      })
    }
    expect(await key.post('/failures/xyz/resolve')).toMatchObject({ status: 400 })
    expect(await key.post('/failures/abc/resolve')).toMatchObject({ status: 404 })
  })
})
