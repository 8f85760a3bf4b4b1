import { beforeEach, expect, test } from 'vitest'
import { app, type Caller, keyOf, kit, nobody, onPlatform, userOf } from './kit.ts'
import { account, password, recorded, signIn } from './people.ts'

onPlatform({ tasks: [] })

let tenantId: string
let path: string
let admin: Caller
beforeEach(async () => {
  tenantId = await kit.tenant()
  path = `/tenants/${tenantId}/invitations`
  admin = await userOf('admin', tenantId)
})

const invite = async (email: string, role = 'member') => (await admin.post(path, { email, role })).body

test('somebody new accepts with a password, and belongs to the tenant', async () => {
  const invited = await admin.post(path, { email: 'new@x.test', role: 'member' })
  expect(invited).toMatchObject({
    status: 201,
    body: { token: expect.any(String), expiresAt: expect.any(String) },
  })
  const { id, token } = invited.body
  expect((await admin.get(path)).body).toEqual({
    invitations: [
      {
        id,
        tenantId,
        email: 'new@x.test',
        role: 'member',
        invitedBy: expect.stringContaining('@x.test'),
        status: 'pending',
        expiresAt: invited.body.expiresAt,
        createdAt: expect.any(String),
      },
    ],
    next: null,
  })
  const entry = await recorded('invitation.create')
  expect(entry).toMatchObject({ tenantId, subject: id, details: { role: 'member' } })
  expect(JSON.stringify(entry)).not.toContain(token)

  const accepted = await nobody.post('/invitations/accept', { token, account: { password, name: 'New' } })
  expect(accepted).toMatchObject({ status: 200, body: { tenantId, userId: expect.any(String) } })
  expect(await recorded('invitation.accept')).toMatchObject({
    tenantId,
    actor: { kind: 'user', id: accepted.body.userId, name: 'new@x.test' },
  })
  const browser = await signIn({ email: 'new@x.test' })
  expect((await browser.get('/session')).body.tenants).toMatchObject([{ tenantId, role: 'member' }])
  expect(await nobody.post('/invitations/accept', { token, account: { password } })).toMatchObject({
    status: 422,
    body: { code: 'INVITATION_INVALID' },
  })
})

test('whoever has an account accepts signed in, with the token of the session', async () => {
  const maya = await account()
  const { token } = await invite(maya.email)
  expect(await nobody.post('/invitations/accept', { token, account: { password } })).toMatchObject({
    status: 403,
    body: { code: 'INVITATION_NEEDS_LOGIN' },
  })
  const other = await signIn(await account())
  expect(await other.post('/invitations/accept', { token })).toMatchObject({
    status: 422,
    body: { code: 'INVITATION_INVALID' },
  })
  const { cookie, ...browser } = await signIn(maya)
  const headers = { cookie, 'content-type': 'application/json' }
  const init = { method: 'POST', headers, body: JSON.stringify({ token }) }
  expect((await app.request('http://test/api/v1/invitations/accept', init)).status).toBe(403)
  expect(await browser.post('/invitations/accept', { token })).toMatchObject({
    status: 200,
    body: { tenantId, userId: maya.id },
  })
})

test('an account made with a link joins another tenant once an operator has confirmed it', async () => {
  const accepted = await nobody.post('/invitations/accept', {
    token: (await invite('link@x.test')).token,
    account: { password },
  })
  const { userId } = accepted.body
  const other = await kit.tenant()
  const operator = await userOf('operator')
  const asked = { email: 'link@x.test', role: 'member' }
  const { token } = (await operator.post(`/tenants/${other}/invitations`, asked)).body
  const browser = await signIn({ email: 'link@x.test' })
  const unconfirmed = { status: 409, body: { code: 'ADDRESS_UNCONFIRMED' } }
  expect(await browser.post('/invitations/accept', { token })).toMatchObject(unconfirmed)
  const added = await operator.post(`/tenants/${other}/members`, { userId, role: 'member' })
  expect(added).toMatchObject(unconfirmed)
  const confirm = async () => await operator.post(`/users/${userId}/confirm`)
  expect(await confirm()).toMatchObject({ status: 200, body: { confirmed: true } })
  expect(await recorded('user.confirm')).toMatchObject({ subject: userId })
  expect(await confirm()).toMatchObject({ status: 200, body: { confirmed: false } })
  expect(await browser.post('/invitations/accept', { token })).toMatchObject({ status: 200 })
})

test('a key accepts nothing, nor does another site', async () => {
  const { token } = await invite('new2@x.test')
  const body = { token, account: { password } }
  const key = await keyOf(tenantId, ['runs:read'])
  expect(await key.post('/invitations/accept', body)).toMatchObject({
    status: 403,
    body: { code: 'FORBIDDEN' },
  })
  const elsewhere = { origin: 'https://evil.test' }
  expect(await nobody.post('/invitations/accept', body, elsewhere)).toMatchObject({
    status: 403,
    body: { code: 'CSRF_REFUSED' },
  })
  expect(await nobody.post('/invitations/accept', { ...body, role: 'owner' })).toMatchObject({ status: 400 })
  expect(await nobody.post('/invitations/accept', { token: 'made up', account: { password } })).toMatchObject(
    {
      status: 422,
      body: { code: 'INVITATION_INVALID' },
    },
  )
})

test('taken back, it is worth nothing; nobody invites above themselves', async () => {
  const { id, token } = await invite('new3@x.test')
  const elsewhere = `/tenants/${await kit.tenant()}/invitations/${id}`
  expect(await (await userOf('operator')).delete(elsewhere)).toMatchObject({
    status: 200,
    body: { revoked: false },
  })
  expect(await admin.delete(`${path}/${id}`)).toMatchObject({ status: 200, body: { revoked: true } })
  expect(await recorded('invitation.revoke')).toMatchObject({ tenantId, subject: id })
  expect(await admin.delete(`${path}/${id}`)).toMatchObject({ body: { revoked: false } })
  expect((await nobody.post('/invitations/accept', { token, account: { password } })).status).toBe(422)
  expect(await admin.post(path, { email: 'new4@x.test', role: 'owner' })).toMatchObject({ status: 403 })
  expect(await admin.post(path, { email: 'nobody', role: 'member' })).toMatchObject({ status: 422 })
})

test('page by page, newest first', async () => {
  for (const n of [1, 2, 3]) await invite(`page${n}@x.test`)
  const { invitations, next } = (await admin.get(`${path}?limit=2`)).body
  expect(invitations).toMatchObject([{ email: 'page3@x.test' }, { email: 'page2@x.test' }])
  expect((await admin.get(`${path}?limit=2&after=${next}`)).body).toMatchObject({
    invitations: [{ email: 'page1@x.test' }],
    next: null,
  })
})
