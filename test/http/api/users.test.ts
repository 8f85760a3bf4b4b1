import { beforeAll, expect, test } from 'vitest'
import { type Caller, kit, onPlatform, userOf } from './kit.ts'
import { account, password, postSession, recorded, signIn } from './people.ts'

onPlatform({ tasks: [] })

interface Page {
  users: { email: string }[]
  next: string | null
}

let operator: Caller
beforeAll(async () => {
  operator = await userOf('operator')
})

test('made, listed page by page, and able to sign in', async () => {
  const tenantId = await kit.tenant()
  const asked = {
    email: 'Maya@X.test',
    password,
    name: 'Maya',
    membership: { tenantId, role: 'admin', permissions: ['audit:read'] },
  }
  const { status, body } = await operator.post('/users', asked)
  expect([status, body]).toEqual([201, { id: expect.any(String) }])
  expect(await recorded('user.create')).toMatchObject({
    tenantId,
    subject: body.id,
    details: { operator: false, role: 'admin' },
  })
  expect(await operator.post('/users', asked)).toMatchObject({ status: 409, body: { code: 'USER_EXISTS' } })
  expect((await postSession({ email: 'maya@x.test', password })).status).toBe(200)

  const seen: Page['users'] = []
  for (let next: string | null = ''; next !== null; ) {
    const page: Page = (await operator.get(`/users?limit=1${next && `&after=${encodeURIComponent(next)}`}`))
      .body
    seen.push(...page.users)
    next = page.next
  }
  expect(seen.map(({ email }) => email)).toEqual([...new Set(seen.map(({ email }) => email))].sort())
  expect(seen).toContainEqual({
    id: body.id,
    email: 'maya@x.test',
    name: 'Maya',
    status: 'active',
    addressConfirmed: true,
    operator: false,
    permissions: [],
    memberships: [{ tenantId, role: 'admin', permissions: ['audit:read'], withheld: [] }],
    lastLoginAt: expect.stringMatching(/Z$/),
    createdAt: expect.stringMatching(/Z$/),
  })
})

test('what cannot be an account is refused', async () => {
  for (const [body, status, code] of [
    [{ email: 'nobody', password }, 422, 'ACCOUNT_INVALID'],
    [{ email: 'a@x.test', password: 'short' }, 422, 'PASSWORD_INVALID'],
    [{ email: 'a@x.test', password, permissions: ['audit:read'] }, 422, 'GRANT_INVALID'],
    [
      { email: 'a@x.test', password, membership: { tenantId: 'nowhere', role: 'owner' } },
      404,
      'TENANT_UNKNOWN',
    ],
    [{ email: 'a@x.test', password, role: 'operator' }, 400, 'REQUEST_INVALID'],
    [{ email: 'a@x.test' }, 400, 'REQUEST_INVALID'],
  ] as const) {
    expect(await operator.post('/users', body)).toMatchObject({ status, body: { code } })
  }
})

test('an operator gives nobody what an operator does not have', async () => {
  const asked = { email: 'more@x.test', password, operator: true, permissions: ['payload:read'] }
  expect(await operator.post('/users', asked)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
})

test('an operator gives nobody an owner’s password, nor makes an owner who reads what operators do not', async () => {
  const tenantId = await kit.tenant()
  const asked = { email: 'own@x.test', password, membership: { tenantId, role: 'owner' } }
  const { id } = (await operator.post('/users', asked)).body
  const { members } = (await operator.get(`/tenants/${tenantId}/members`)).body
  expect(members).toMatchObject([{ userId: id, role: 'owner', withheld: ['payload:read'] }])
  const made = (await (await signIn({ email: 'own@x.test' })).get('/session')).body.tenants
  expect(made[0].permissions).not.toContain('payload:read')
  const owner = await account({ membership: { tenantId, role: 'owner' } })
  const set = await operator.put(`/users/${owner.id}/password`, { password: 'a whale in the well' })
  expect(set).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
  await signIn(owner)
})

test('disabled at once, enabled again, and given another password', async () => {
  const maya = await account()
  const browser = await signIn(maya)
  const set = async (end: string) => await operator.post(`/users/${maya.id}${end}`)
  expect(await set('/disable')).toMatchObject({ status: 200, body: { status: 'disabled' } })
  expect((await browser.get('/session')).status).toBe(401)
  expect((await postSession({ email: maya.email, password })).status).toBe(401)
  expect(await recorded('user.disable')).toMatchObject({ subject: maya.id })
  expect(await set('/enable')).toMatchObject({ status: 200, body: { status: 'active' } })
  expect(await recorded('user.enable')).toMatchObject({ subject: maya.id })

  const again = await signIn(maya)
  const next = 'a whale in the well'
  expect(await operator.put(`/users/${maya.id}/password`, { password: next })).toMatchObject({ status: 204 })
  expect(await recorded('user.password')).toMatchObject({ subject: maya.id, details: {} })
  expect((await again.get('/session')).status).toBe(401)
  await signIn(maya, next)
  expect(await operator.put(`/users/${maya.id}/password`, { password: 'short' })).toMatchObject({
    status: 422,
  })
  const nobody = '00000000-0000-4000-8000-000000000000'
  expect(await operator.post(`/users/${nobody}/disable`)).toMatchObject({
    status: 404,
    body: { code: 'USER_UNKNOWN' },
  })
})
