import { beforeEach, expect, test } from 'vitest'
import { type Caller, kit, onPlatform, userOf } from './kit.ts'
import { account, recorded, signIn } from './people.ts'

onPlatform({ tasks: [] })

let tenantId: string
let path: string
let owner: Caller
let operator: Caller
beforeEach(async () => {
  tenantId = await kit.tenant()
  path = `/tenants/${tenantId}/members`
  owner = await userOf('owner', tenantId)
  operator = await userOf('operator')
})

test('listed with what they are here, and nothing of elsewhere', async () => {
  const other = await kit.tenant()
  const maya = await account({
    name: 'Maya',
    membership: { tenantId, role: 'member', permissions: ['payload:read'] },
  })
  await operator.post(`/tenants/${other}/members`, { userId: maya.id, role: 'owner' })
  const { members, next } = (await owner.get(path)).body
  expect(next).toBeNull()
  expect(members).toHaveLength(2)
  expect(members).toContainEqual({
    userId: maya.id,
    email: maya.email,
    name: 'Maya',
    status: 'active',
    role: 'member',
    permissions: ['payload:read'],
    withheld: [],
    lastLoginAt: null,
  })
  const first = (await owner.get(`${path}?limit=1`)).body
  const second = (await owner.get(`${path}?limit=1&after=${encodeURIComponent(first.next)}`)).body
  expect([...first.members, ...second.members]).toEqual(members)
  expect(second.next).toBeNull()
})

test('an operator adds whoever has an account; a tenant’s own people invite', async () => {
  const { id: userId } = await account()
  expect(await owner.post(path, { userId, role: 'member' })).toMatchObject({ status: 403 })
  expect(await operator.post(path, { userId, role: 'admin' })).toMatchObject({ status: 204 })
  expect(await recorded('member.add')).toMatchObject({
    tenantId,
    subject: userId,
    details: { role: 'admin' },
  })
  expect(await operator.post(path, { userId, role: 'admin' })).toMatchObject({
    status: 422,
    body: { code: 'GRANT_INVALID' },
  })
  const nobody = '00000000-0000-4000-8000-000000000000'
  expect(await operator.post(path, { userId: nobody, role: 'admin' })).toMatchObject({ status: 404 })
  expect(await operator.post(path, { userId, role: 'god' })).toMatchObject({ status: 400 })
})

test('changed by those who are not below, and only to what they have', async () => {
  const maya = await account({ membership: { tenantId, role: 'member' } })
  const admin = await userOf('admin', tenantId)
  const change = async (by: Caller, body: object) => await by.patch(`${path}/${maya.id}`, body)
  expect(await change(admin, { role: 'owner' })).toMatchObject({ status: 403 })
  expect(await change(admin, { role: 'member', permissions: ['payload:read'] })).toMatchObject({
    status: 403,
  })
  expect(await change(admin, { role: 'admin' })).toMatchObject({ status: 204 })
  expect(await recorded('member.change')).toMatchObject({
    tenantId,
    subject: maya.id,
    details: { role: 'admin' },
  })
  expect(await change(owner, { role: 'owner', permissions: ['payload:read'] })).toMatchObject({ status: 204 })
  expect(await change(admin, { role: 'member' })).toMatchObject({ status: 403 })
  expect(await change(owner, { role: 'member', permissions: ['metrics:read'] })).toMatchObject({
    status: 422,
  })
})

test('removed, or leaving by themselves; never the last owner', async () => {
  const maya = await account({ membership: { tenantId, role: 'member' } })
  const browser = await signIn(maya)
  const ownerId = (await owner.get('/session')).body.id
  expect(await browser.delete(`${path}/${ownerId}`)).toMatchObject({ status: 403 })
  expect(await browser.delete(`${path}/${maya.id}`)).toMatchObject({ status: 204 })
  expect(await recorded('member.remove')).toMatchObject({
    tenantId,
    subject: maya.id,
    actor: { id: maya.id },
  })
  expect(await browser.get(`/tenants/${tenantId}`)).toMatchObject({ status: 404 })
  expect(await browser.delete(`${path}/${maya.id}`)).toMatchObject({ status: 404 })
  expect(await owner.delete(`${path}/${maya.id}`)).toMatchObject({
    status: 404,
    body: { code: 'USER_UNKNOWN' },
  })
  expect(await owner.delete(`${path}/${ownerId}`)).toMatchObject({
    status: 409,
    body: { code: 'LAST_OWNER' },
  })
})
