import { beforeEach, describe, expect, test } from 'vitest'
import { type Caller, callerWith, kit, onPlatform, userOf } from './kit.ts'
import { recorded } from './people.ts'

onPlatform({ tasks: [] })

let tenantId: string
let path: string
let owner: Caller
let operator: Caller
beforeEach(async () => {
  tenantId = await kit.tenant()
  path = `/tenants/${tenantId}/keys`
  owner = await userOf('owner', tenantId)
  operator = await userOf('operator')
})

const withKey = (key: string) => callerWith({ authorization: `Bearer ${key}` })

describe('of a tenant', () => {
  test('shown once, listed without itself, good until it is revoked', async () => {
    const { status, body, headers } = await owner.post(path, {
      name: 'deploy',
      scopes: ['runs:read', 'credentials:read'],
      expiresIn: '90d',
    })
    expect(status).toBe(201)
    expect(headers.get('cache-control')).toBe('no-store')
    const { key, ...info } = body
    expect(key).toMatch(/^cgk_live_/)
    expect(info).toEqual({
      id: expect.any(String),
      name: 'deploy',
      prefix: key.slice(0, info.prefix.length),
      tenantId,
      scopes: ['runs:read', 'credentials:read'],
      expiresAt: expect.stringMatching(/Z$/),
      lastUsedAt: null,
      revokedAt: null,
      createdAt: expect.stringMatching(/Z$/),
    })
    expect((await owner.get(path)).body).toEqual({ keys: [info], next: null })
    const entry = await recorded('key.create')
    expect(entry).toMatchObject({ tenantId, subject: info.id, details: { prefix: info.prefix } })
    expect(JSON.stringify(entry)).not.toContain(key)

    expect((await withKey(key).get(`/tenants/${tenantId}`)).status).toBe(200)
    expect(await owner.delete(`${path}/${info.id}`)).toMatchObject({ status: 200, body: { revoked: true } })
    expect(await recorded('key.revoke')).toMatchObject({ tenantId, subject: info.id })
    expect((await withKey(key).get(`/tenants/${tenantId}`)).status).toBe(401)
    expect(await owner.delete(`${path}/${info.id}`)).toMatchObject({ body: { revoked: false } })
  })

  test('page by page, newest first', async () => {
    for (const name of ['first', 'second', 'third']) await owner.post(path, { name, scopes: ['runs:read'] })
    const page = (await owner.get(`${path}?limit=2`)).body
    expect(page.keys).toMatchObject([{ name: 'third' }, { name: 'second' }])
    expect((await owner.get(`${path}?limit=2&after=${page.next}`)).body).toMatchObject({
      keys: [{ name: 'first' }],
      next: null,
    })
    expect(await owner.get(`${path}?after=nonsense`)).toMatchObject({ status: 400 })
  })

  test('nobody makes one that may more than they, or that makes keys', async () => {
    const admin = await userOf('admin', tenantId)
    const make = async (by: Caller, scopes: string[], expiresIn?: string) =>
      await by.post(path, { name: 'x', scopes, ...(expiresIn && { expiresIn }) })
    expect(await make(admin, ['payload:read'])).toMatchObject({ status: 403 })
    expect(await make(owner, ['payload:read'])).toMatchObject({ status: 201 })
    for (const scopes of [['people:write'], ['tenants:write'], []]) {
      expect(await make(owner, scopes)).toMatchObject({ status: 422, body: { code: 'GRANT_INVALID' } })
    }
    expect(await make(owner, ['everything'])).toMatchObject({ status: 400 })
    expect(await make(owner, ['runs:read'], 'soon')).toMatchObject({
      status: 422,
      body: { code: 'GRANT_INVALID' },
    })
  })
})

describe('of the platform', () => {
  test('made and revoked by operators, and listed without those of tenants', async () => {
    await owner.post(path, { name: 'of a tenant', scopes: ['runs:read'] })
    const { key, ...info } = (await operator.post('/keys', { name: 'prometheus', scopes: ['metrics:read'] }))
      .body
    expect(info).toMatchObject({ name: 'prometheus', tenantId: null })
    const { keys } = (await operator.get('/keys')).body
    expect(keys).toContainEqual(info)
    expect(keys.filter((one: { tenantId: string | null }) => one.tenantId !== null)).toEqual([])
    expect(JSON.stringify(keys)).not.toContain(key)
    expect(await operator.delete(`/keys/${info.id}`)).toMatchObject({ status: 200, body: { revoked: true } })
  })

  test('a key is found only where it is', async () => {
    const ofTenant = (await owner.post(path, { name: 'x', scopes: ['runs:read'] })).body
    const ofPlatform = (await operator.post('/keys', { name: 'x', scopes: ['runs:read'] })).body
    const elsewhere = `/tenants/${await kit.tenant()}/keys`
    for (const wrong of [`${elsewhere}/${ofTenant.id}`, `/keys/${ofTenant.id}`, `${path}/${ofPlatform.id}`]) {
      expect(await operator.delete(wrong)).toMatchObject({ status: 404, body: { code: 'API_KEY_UNKNOWN' } })
    }
  })
})
