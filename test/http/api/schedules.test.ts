import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { type Caller, keyOf, kit, onPlatform, userOf } from './kit.ts'
import { recorded } from './people.ts'

const reconcile = defineTask({
  id: 'api/reconcile',
  payload: tenantPayload({
    hours: z.number().max(48).default(1),
    contact: z.string().meta({ pii: true }).optional(),
  }),
  schedules: [{ cron: '0 3 * * *', timezone: 'tenant' }],
  run: () => 'done',
})
const ofMain = defineTask({
  id: 'api/main',
  payload: tenantPayload({}),
  schedules: [{ cron: '0 5 * * *', each: 'platform', payload: { tenantId: 'the_main_one' } }],
  run: () => 'done',
})

onPlatform({ tasks: [reconcile, ofMain] })

let tenantId: string
let admin: Caller
let operator: Caller
/** As a path has it. */
let path: string
beforeAll(async () => {
  operator = await userOf('operator')
  await operator.post('/tenants', { slug: 'the_main_one' })
})
beforeEach(async () => {
  tenantId = await kit.tenant({ timezone: 'Europe/Berlin' })
  admin = await userOf('admin', tenantId)
  path = `/tenants/${tenantId}/schedules/api%2Freconcile%3Adefault`
})

const listOf = async (caller: Caller, query = '') => (await caller.get(`/schedules${query}`)).body.schedules

describe('GET /schedules', () => {
  test('of one tenant: what holds, and when it comes', async () => {
    const [schedule, ...others] = await listOf(admin, `?tenant=${tenantId}&count=2`)
    expect(others).toEqual([])
    expect(schedule).toEqual({
      id: 'api/reconcile:default',
      taskId: 'api/reconcile',
      key: 'default',
      tenantId,
      origin: 'task',
      cron: '0 3 * * *',
      timezone: 'tenant',
      catchUp: 'once',
      overlap: 'allow',
      windowMs: 0,
      payload: {},
      isPaused: false,
      next: [
        {
          at: expect.stringMatching(/T0[12]:00:00.000Z$/),
          clock: expect.stringMatching(/T03:00$/),
          offset: expect.any(String),
        },
        expect.anything(),
      ],
    })
  })

  test('without a tenant: of each that one belongs to; an operator sees what tasks say, and every other', async () => {
    const second = await kit.tenant()
    const both = await userOf('member', tenantId, second)
    expect((await listOf(both)).map(({ tenantId }: { tenantId: string }) => tenantId).sort()).toEqual(
      [tenantId, second].sort(),
    )
    await admin.put(path, { cron: '0 4 * * *' })
    const all = await listOf(operator, '?count=0')
    expect(all).toContainEqual(expect.objectContaining({ id: 'api/reconcile:default', tenantId: null }))
    expect(all).toContainEqual(expect.objectContaining({ tenantId, origin: 'changed', cron: '0 4 * * *' }))
    expect(all).toContainEqual(expect.objectContaining({ id: 'api/main:default', tenantId: 'the_main_one' }))
  })

  test('another tenant, another word, and too many times are refused', async () => {
    expect(await admin.get('/schedules?tenant=the_main_one')).toMatchObject({ status: 404 })
    expect(await admin.get(`/schedules?tenantId=${tenantId}`)).toMatchObject({ status: 400 })
    expect(await admin.get('/schedules?count=101')).toMatchObject({ status: 400 })
  })
})

describe('changing one for a tenant', () => {
  test('what is named changes, null and a reset are as the task says', async () => {
    expect(await admin.put(path, { cron: '30 2 * * *', payload: { hours: 5 } })).toMatchObject({
      status: 200,
      body: {
        id: 'api/reconcile:default',
        tenantId,
        origin: 'changed',
        cron: '30 2 * * *',
        payload: { hours: 5 },
      },
    })
    expect(await recorded('schedule.set')).toMatchObject({
      tenantId,
      subject: 'api/reconcile:default',
      details: { cron: '30 2 * * *' },
    })
    expect(await admin.put(path, { cron: null })).toMatchObject({
      body: { cron: '0 3 * * *', payload: { hours: 5 } },
    })
    expect(await admin.delete(path)).toMatchObject({ status: 200, body: { changed: true } })
    expect(await admin.delete(path)).toMatchObject({ body: { changed: false } })
    expect(await recorded('schedule.reset')).toMatchObject({ tenantId, subject: 'api/reconcile:default' })
    expect(await listOf(admin)).toMatchObject([{ origin: 'task', payload: {} }])
  })

  test('an extra one', async () => {
    const extra = `/tenants/${tenantId}/schedules/api%2Freconcile%3Awide`
    expect(await admin.put(extra, { cron: '0 4 * * *' })).toMatchObject({
      status: 404,
      body: { code: 'SCHEDULE_UNKNOWN' },
    })
    expect(await admin.put(extra, { cron: '0 4 * * *', extra: true, payload: { hours: 48 } })).toMatchObject({
      status: 200,
      body: { id: 'api/reconcile:wide', origin: 'extra' },
    })
    expect(await admin.put(extra, { extra: true, timezone: 'Asia/Tokyo' })).toMatchObject({
      body: { timezone: 'Asia/Tokyo', cron: '0 4 * * *' },
    })
    expect(await admin.delete(extra)).toMatchObject({ body: { changed: true } })
  })

  test('whoever may not trigger runs changes when a task runs, and not with what or whether', async () => {
    const extra = `/tenants/${tenantId}/schedules/api%2Freconcile%3Awide`
    const planner = await keyOf(tenantId, ['schedules:write', 'runs:read'])
    const [none, given] = [{ cron: '0 4 * * *', extra: true }, { hours: 2 }]
    const refused = {
      status: 403,
      body: { code: 'FORBIDDEN', detail: expect.stringContaining('runs:trigger') },
    }
    expect(await planner.put(extra, none)).toMatchObject(refused)
    expect(await planner.put(extra, { ...none, payload: given })).toMatchObject(refused)
    for (const payload of [given, null]) expect(await planner.put(path, { payload })).toMatchObject(refused)
    expect(await listOf(admin)).toMatchObject([{ origin: 'task' }])
    await admin.put(extra, none)
    for (const body of [{ cron: '* * * * *' }, { timezone: 'UTC', extra: true }]) {
      expect(await planner.put(extra, body)).toMatchObject(refused)
    }
    for (const schedule of [path, extra]) {
      expect(await planner.post(`${schedule}/run`, {})).toMatchObject(refused)
    }
    expect(
      await (await keyOf(null, ['schedules:write'])).post('/schedules/api%2Freconcile/run', {}),
    ).toMatchObject(refused)
    expect(await planner.put(path, { cron: '0 4 * * *' })).toMatchObject({ status: 200 })
    for (const schedule of [path, extra])
      expect(await planner.delete(schedule)).toMatchObject({ status: 200 })
    const both = await keyOf(tenantId, ['schedules:write', 'runs:trigger'])
    expect(await both.put(extra, none)).toMatchObject({ status: 200 })
    expect(await both.put(path, { payload: given })).toMatchObject({ status: 200 })
    const triggering = await keyOf(tenantId, ['runs:trigger'])
    expect(await triggering.put(extra, none)).toMatchObject({
      status: 403,
      body: { detail: expect.stringContaining('schedules:write') },
    })
  })

  test('what a task marks in payloads is for those who may read it', async () => {
    const payload = { hours: 2, contact: 'maya@example.com' }
    expect((await admin.put(path, { payload })).body.payload).toEqual({ hours: 2, contact: '[masked]' })
    const owner = await userOf('owner', tenantId)
    expect(await listOf(owner)).toMatchObject([{ payload }])
    expect(JSON.stringify([await listOf(operator), await recorded('schedule.set')])).not.toContain('maya')
  })

  test('what cannot be one is refused', async () => {
    for (const [body, status, code] of [
      [{ cron: 'soon' }, 422, 'SCHEDULE_INVALID'],
      [{ timezone: '+02:00' }, 422, 'SCHEDULE_INVALID'],
      [{ payload: { hours: 500 } }, 422, 'PAYLOAD_INVALID'],
      [{ payload: { tenantId: 'the_main_one', hours: 1 }, cron: 5 }, 400, 'REQUEST_INVALID'],
      [{ when: 'soon' }, 400, 'REQUEST_INVALID'],
    ] as const) {
      expect(await admin.put(path, body)).toMatchObject({ status, body: { code } })
    }
    expect(await admin.put(`/tenants/${tenantId}/schedules/a%3Ab%3Ac`, {})).toMatchObject({
      status: 422,
      body: { code: 'SCHEDULE_INVALID' },
    })
  })
})

describe('pausing and running', () => {
  test('for one tenant', async () => {
    expect(await admin.post(`${path}/pause`)).toMatchObject({ status: 200, body: { isPaused: true } })
    expect(await listOf(admin)).toMatchObject([{ isPaused: true, next: [] }])
    expect(await recorded('schedule.pause')).toMatchObject({ tenantId, subject: 'api/reconcile:default' })
    const runs = await admin.post(`${path}/run`, { invocation: 'by hand' })
    expect(runs).toMatchObject({ status: 200, body: { runIds: [expect.any(String)] } })
    expect((await admin.post(`${path}/run`, { invocation: 'by hand' })).body).toEqual(runs.body)
    expect(await recorded('schedule.run')).toMatchObject({ tenantId, details: { runs: 1 } })
    expect((await admin.get(`/runs/${runs.body.runIds[0]}`)).body).toMatchObject({
      tenantId,
      taskId: 'api/reconcile',
    })
    expect(await admin.post(`${path}/resume`)).toMatchObject({ status: 200, body: { isPaused: false } })
    expect(await listOf(admin)).toMatchObject([{ isPaused: false }])
  })

  test('not for one that is suspended', async () => {
    await operator.post(`/tenants/${tenantId}/suspend`, { reason: 'a test' })
    expect(await admin.post(`${path}/run`, {})).toMatchObject({
      status: 409,
      body: { code: 'TENANT_SUSPENDED' },
    })
  })

  test('for all at once', async () => {
    const forAll = '/schedules/api%2Freconcile%3Adefault'
    expect(await operator.post(`${forAll}/pause`)).toMatchObject({ status: 200, body: { isPaused: true } })
    expect(await listOf(admin)).toMatchObject([{ isPaused: true }])
    expect(await recorded('schedule.pause')).toMatchObject({ tenantId: null })
    expect(await operator.post(`${forAll}/resume`)).toMatchObject({ body: { isPaused: false } })
    expect(await listOf(admin)).toMatchObject([{ isPaused: false }])
    const { body } = await operator.post(`${forAll}/run`, {})
    const { database } = await kit.platform.ready()
    const { rows } = await database.query("SELECT FROM public.organizations WHERE status = 'active'")
    expect(body.runIds).toHaveLength(rows.length)
    expect(await operator.post('/schedules/api%2Freconcile%3Anone/pause')).toMatchObject({ status: 404 })
    expect(await operator.post('/schedules/no%2Fsuch/run', {})).toMatchObject({
      status: 404,
      body: { code: 'TASK_UNKNOWN' },
    })
  })
})

test('a schedule of another tenant alone is none here, and nobody learns whose it is', async () => {
  const main = `/tenants/${tenantId}/schedules/api%2Fmain%3Adefault`
  const nowhere = `/tenants/${tenantId}/schedules/api%2Fmain%3Anowhere`
  for (const caller of [admin, await keyOf(tenantId, ['schedules:write', 'runs:trigger'])]) {
    for (const [end, body] of [['/pause'], ['/resume'], ['/run', {}]] as const) {
      const [answer, other] = [await caller.post(main + end, body), await caller.post(nowhere + end, body)]
      expect(answer).toMatchObject({ status: 404, body: { code: 'SCHEDULE_UNKNOWN' } })
      expect(JSON.stringify(answer.body)).not.toContain('the_main_one')
      expect(
        JSON.stringify(answer.body)
          .replace('default"', 'nowhere"')
          .replace(/main:default/g, 'main:nowhere'),
      ).toBe(JSON.stringify(other.body))
    }
    expect(await caller.put(main, { cron: '0 1 * * *' })).toMatchObject({ status: 404 })
  }
})
