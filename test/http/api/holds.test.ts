import { beforeAll, expect, test } from 'vitest'
import { keyOf, kit, onPlatform, userOf } from './kit.ts'

onPlatform({ tasks: [] })

let tenants: string[]
beforeAll(async () => {
  tenants = [await kit.tenant(), await kit.tenant(), await kit.tenant()].sort()
  const { database } = await kit.platform.ready()
  for (const tenantId of tenants) {
    for (const service of ['mux', 'stripe']) {
      await database.query(
        `INSERT INTO public.platform_holds (tenant_id, service, reason, code, message, until)
         VALUES ($1, $2, 'rate_limited', '429', 'Slow down', now() + interval '1 hour')`,
        [tenantId, service],
      )
    }
  }
})

const of = (...tenantIds: string[]) =>
  tenantIds.flatMap((tenantId) => ['mux', 'stripe'].map((service) => ({ tenantId, service })))

test('an operator sees all, page by page; who belongs to some tenants, theirs', async () => {
  const operator = await userOf('operator')
  const first = (await operator.get('/holds?limit=4')).body
  expect(first.holds).toMatchObject(of(tenants[0]!, tenants[1]!))
  expect(first.holds[0]).toEqual({
    tenantId: tenants[0],
    service: 'mux',
    reason: 'rate_limited',
    code: '429',
    message: 'Slow down',
    placedAt: expect.stringMatching(/^\d{4}-.*Z$/),
    until: expect.stringMatching(/^\d{4}-.*Z$/),
    lifted: false,
    runs: 0,
  })
  const second = (await operator.get(`/holds?limit=4&after=${encodeURIComponent(first.next)}`)).body
  expect(second).toMatchObject({ holds: of(tenants[2]!), next: null })

  const both = await userOf('member', tenants[0]!, tenants[2]!)
  expect((await both.get('/holds')).body.holds).toMatchObject(of(tenants[0]!, tenants[2]!))
  expect((await both.get(`/holds?tenant=${tenants[2]}`)).body.holds).toMatchObject(of(tenants[2]!))
  expect((await both.get(`/holds?tenant=${tenants[1]}`)).status).toBe(404)
  expect((await both.get(`/holds?after=${tenants[1]}%20mux`)).body.holds).toMatchObject(of(tenants[2]!))
})

test('whoever may see runs nowhere is refused, and so is what is no filter', async () => {
  const key = await keyOf(tenants[0]!, ['runs:trigger'])
  expect(await key.get('/holds')).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
  const operator = await userOf('operator')
  for (const query of ['limit=101', 'tenantId=x', 'tenant=No-Slug']) {
    expect(await operator.get(`/holds?${query}`)).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    })
  }
})
