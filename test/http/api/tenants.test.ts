import { randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { type Caller, keyOf, kit, onPlatform, userOf } from './kit.ts'
import { recorded } from './people.ts'

const note = defineTask({ id: 'api/note', payload: tenantPayload({}), run: () => 'done' })
const everyMinute = defineTask({
  id: 'api/minute',
  payload: tenantPayload({}),
  schedules: [{ cron: '* * * * *', timezone: 'tenant' }],
  run: () => 'done',
})

onPlatform({ tasks: [note, everyMinute] })

let operator: Caller
beforeEach(async () => {
  operator = await userOf('operator')
})

const newSlug = () => `api_${randomBytes(6).toString('hex')}`

describe('GET /tenants', () => {
  test('shows those one belongs to; an operator and a key of the platform see all, page by page', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()].sort() as [string, string]
    const member = await userOf('member', one)
    expect(await member.get('/tenants')).toMatchObject({
      status: 200,
      body: { tenants: [{ tenantId: one, name: one, status: 'active', timezone: 'UTC' }], next: null },
    })
    for (const caller of [operator, await keyOf(null, ['runs:read'])]) {
      const seen: string[] = []
      for (let next: string | null = ''; next !== null; ) {
        const { body } = await caller.get(`/tenants?limit=2${next && `&after=${next}`}`)
        expect(body.tenants.length).toBeLessThanOrEqual(2)
        seen.push(...body.tenants.map(({ tenantId }: { tenantId: string }) => tenantId))
        next = body.next
      }
      expect(seen).toEqual([...new Set(seen)].sort())
      expect(seen).toEqual(expect.arrayContaining([one, two]))
    }
    const both = await userOf('member', one, two)
    expect((await both.get('/tenants?limit=1')).body).toMatchObject({
      tenants: [{ tenantId: one }],
      next: one,
    })
    expect((await both.get(`/tenants?limit=1&after=${one}`)).body).toMatchObject({
      tenants: [{ tenantId: two }],
      next: null,
    })
  })

  test('refuses what it does not know', async () => {
    for (const query of ['limit=0', 'limit=many', 'tenant=x']) {
      expect(await operator.get(`/tenants?${query}`)).toMatchObject({
        status: 400,
        body: { code: 'REQUEST_INVALID' },
      })
    }
  })
})

describe('POST /tenants', () => {
  test('makes one, which is there at once', async () => {
    const slug = newSlug()
    const asked = { slug, name: 'Raw Dog', timezone: 'Europe/Berlin' }
    const made = { tenantId: slug, name: 'Raw Dog', timezone: 'Europe/Berlin', status: 'active' }
    expect(await operator.post('/tenants', asked)).toMatchObject({ status: 201, body: made })
    expect((await operator.get(`/tenants/${slug}`)).body).toMatchObject(made)
    expect(await recorded('tenant.create')).toMatchObject({ tenantId: slug, actor: { kind: 'user' } })
    expect(await operator.post('/tenants', asked)).toMatchObject({
      status: 409,
      body: { code: 'TENANT_EXISTS' },
    })
  })

  test('refuses what cannot be one', async () => {
    const refuse = async (body: object) => await operator.post('/tenants', body)
    expect(await refuse({ slug: 'Raw-Dog' })).toMatchObject({
      status: 400,
      body: { issues: [{ path: 'slug' }] },
    })
    expect(await refuse({ slug: newSlug(), timezone: '+02:00' })).toMatchObject({
      status: 400,
      body: { issues: [{ path: 'timezone' }] },
    })
    expect(await refuse({ slug: newSlug(), name: 'a\u0007b' })).toMatchObject({
      status: 422,
      body: { code: 'TENANT_NAME_INVALID' },
    })
    expect(await refuse({ slug: newSlug(), status: 'suspended' })).toMatchObject({ status: 400 })
  })
})

describe('PATCH /tenants/:id', () => {
  test('changes what is named, and the directory hears of it', async () => {
    const tenantId = await kit.tenant({ name: 'Old', timezone: 'UTC' })
    const path = `/tenants/${tenantId}`
    await operator.get(path)
    expect(await operator.patch(path, { timezone: 'Asia/Tokyo' })).toMatchObject({
      status: 200,
      body: { tenantId, name: 'Old', timezone: 'Asia/Tokyo' },
    })
    expect(await operator.patch(path, { name: 'New' })).toMatchObject({ body: { name: 'New' } })
    expect((await operator.get(path)).body).toMatchObject({ name: 'New', timezone: 'Asia/Tokyo' })
    expect(await recorded('tenant.change')).toMatchObject({
      tenantId,
      details: { name: 'New', timezone: null },
    })
    expect(await operator.patch(path, {})).toMatchObject({ status: 400 })
    expect(await operator.patch(path, { timezone: 'Mars/Olympus' })).toMatchObject({ status: 400 })
  })
})

test('what had come by the time zone of before is planned before it changes', async () => {
  const tenantId = await kit.tenant({ timezone: 'Asia/Kathmandu' })
  const { database } = await kit.platform.ready()
  await kit.tick()
  await database.query("UPDATE public.organizations SET active_since = now() - interval '1 hour'")
  await database.query(
    "UPDATE public.platform_schedule_progress SET planned_until = now() - interval '61 seconds'",
  )
  await operator.patch(`/tenants/${tenantId}`, { timezone: 'Pacific/Apia' })
  const { rows } = await database.query<{ timezone: string }>(
    "SELECT DISTINCT timezone FROM public.platform_schedule_ticks WHERE timezone IN ('Asia/Kathmandu', 'Pacific/Apia')",
  )
  expect(rows).toEqual([{ timezone: 'Asia/Kathmandu' }])
  await kit.tick()
  const { runs } = await kit.platform.runs.list({ tenantId })
  expect(runs.length).toBeGreaterThan(0)
})

describe('suspending and resuming', () => {
  test('stops a tenant and lets it go on, and says who did it and why', async () => {
    const tenantId = await kit.tenant()
    const reason = 'unpaid since March'
    expect(await operator.post(`/tenants/${tenantId}/suspend`, { reason })).toMatchObject({
      status: 200,
      body: { tenantId, status: 'suspended' },
    })
    expect(await recorded('tenant.suspend')).toMatchObject({ tenantId, reason })
    await expect(note.trigger({ tenantId })).rejects.toThrow('suspended')
    expect(await operator.post(`/tenants/${tenantId}/resume`)).toMatchObject({ body: { status: 'active' } })
    expect(await recorded('tenant.resume')).toMatchObject({ tenantId })
    await note.trigger({ tenantId })
    expect(await operator.post(`/tenants/${tenantId}/suspend`, { reason: ' ' })).toMatchObject({
      status: 400,
    })
  })
})

describe('DELETE /tenants/:id', () => {
  const reason = 'asked for by mail'

  test('not while runs are open, unless it is forced; then it is gone', async () => {
    const tenantId = await kit.tenant()
    await note.trigger({ tenantId }, { delay: '1h' })
    const path = `/tenants/${tenantId}`
    expect(await operator.delete(path, { reason })).toMatchObject({
      status: 409,
      body: { code: 'TENANT_HAS_OPEN_RUNS' },
    })
    expect((await operator.get(path)).body.status).toBe('active')
    expect(await operator.delete(`${path}?force=true`)).toMatchObject({ status: 400 })
    expect(await operator.delete(`${path}?force=true`, { reason })).toMatchObject({ status: 204 })
    expect(await recorded('tenant.delete')).toMatchObject({ tenantId, reason, details: { force: true } })
    expect(await operator.get(path)).toMatchObject({ status: 404, body: { code: 'TENANT_UNKNOWN' } })
    expect(await operator.delete(path, { reason })).toMatchObject({ status: 404 })
  })
})

test("a tenant that is another's is answered like one that is not there", async () => {
  const [tenantId, own] = [await kit.tenant(), await kit.tenant()]
  for (const stranger of [await userOf('owner', own), await keyOf(own, ['runs:read'])]) {
    const [there, nowhere] = [
      await stranger.get(`/tenants/${tenantId}`),
      await stranger.get('/tenants/nowhere'),
    ]
    expect(there.status).toBe(404)
    expect(JSON.stringify(there.body).replaceAll(tenantId, 'X')).toBe(
      JSON.stringify(nowhere.body).replaceAll('nowhere', 'X'),
    )
  }
})
