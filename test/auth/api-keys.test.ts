/** API keys: shown once, as much as their maker, and gone when they are revoked or over. */
import { describe, expect, test } from 'vitest'
import { isKey, newKey } from '../../src/auth/bearer-secret.ts'
import { createApiKey, listApiKeys, principalOf, revokeApiKey } from '../../src/auth/index.ts'
import {
  ForbiddenError,
  InvalidAccountError,
  InvalidGrantError,
  UnknownApiKeyError,
  UnknownTenantError,
} from '../../src/errors.ts'
import {
  addMemberOf,
  addPerson,
  allRefused,
  auth,
  platform,
  principal,
  useAuthPlatform,
  withKey,
} from './kit.ts'

useAuthPlatform()

test('a key is recognised by its form, and no two are alike', () => {
  const keys = Array.from({ length: 200 }, newKey)
  expect(new Set(keys).size).toBe(200)
  for (const key of keys) expect(key).toMatch(/^cgk_live_[0-9a-f]{72}$/)
  expect(keys.every(isKey)).toBe(true)
  expect(keys.some((key) => isKey(`${key}0`) || isKey(key.slice(1)) || isKey(`${key}\n`))).toBe(false)
})

test('it is in one answer and nowhere else; a list shows its first characters', async () => {
  const tenantId = await platform.tenant()
  const made = await createApiKey(
    auth,
    { name: ' deploy ', tenantId, scopes: ['runs:trigger', 'runs:read', 'runs:read'], expiresIn: '90d' },
    null,
  )
  const { key, ...shown } = made
  expect(shown).toEqual({
    id: expect.any(String),
    name: 'deploy',
    prefix: key.slice(0, 17),
    tenantId,
    scopes: ['runs:trigger', 'runs:read'],
    expiresAt: new Date(auth.now().getTime() + 90 * 86_400_000),
    lastUsedAt: null,
    revokedAt: null,
    createdAt: auth.now(),
  })
  expect(await listApiKeys(auth, { tenantId })).toEqual([shown])
  expect(await listApiKeys(auth)).toContainEqual(shown)
  expect(await listApiKeys(auth, { tenantId: await platform.tenant() })).toEqual([])
  const { rows } = await auth.database.query<{ row: string }>(
    'SELECT k::text AS row FROM public.api_keys AS k',
  )
  for (const { row } of rows) expect(row).not.toContain(key.slice(17))
})

test('it expires', async () => {
  const { key } = await createApiKey(
    auth,
    { name: 'k', tenantId: null, scopes: ['runs:read'], expiresIn: '1h' },
    null,
  )
  await platform.advance('59m')
  expect(await principalOf(auth, withKey(key))).not.toBeNull()
  await platform.advance('1m')
  expect(await principalOf(auth, withKey(key))).toBeNull()
})

test('it goes with its tenant', async () => {
  const tenantId = await platform.tenant()
  const { key } = await createApiKey(auth, { name: 'k', tenantId, scopes: ['runs:read'] }, null)
  await auth.database.query('DELETE FROM public.organizations WHERE slug = $1', [tenantId])
  expect(await principalOf(auth, withKey(key))).toBeNull()
})

describe('revoking', () => {
  test('works by id and by the first characters, once', async () => {
    const [one, two] = [
      await createApiKey(auth, { name: 'k', tenantId: null, scopes: ['runs:read'] }, null),
      await createApiKey(auth, { name: 'k', tenantId: null, scopes: ['runs:read'] }, null),
    ]
    expect(await revokeApiKey(auth, one.id, null)).toBe(true)
    expect(await revokeApiKey(auth, one.prefix, null)).toBe(false)
    expect(await revokeApiKey(auth, two.prefix, null)).toBe(true)
    expect(await principalOf(auth, withKey(one.key))).toBeNull()
    expect(await principalOf(auth, withKey(two.key))).toBeNull()
  })

  test('wants one key: none, two of the same beginning, or the whole secret are not it', async () => {
    const [one, two] = [
      await createApiKey(auth, { name: 'k', tenantId: null, scopes: ['runs:read'] }, null),
      await createApiKey(auth, { name: 'k', tenantId: null, scopes: ['runs:read'] }, null),
    ]
    await auth.database.query('UPDATE public.api_keys SET key_prefix = $1 WHERE id = $2', [
      one.prefix,
      two.id,
    ])
    for (const given of [one.prefix, one.key, 'cgk_live_', '00000000-0000-4000-8000-000000000000', '%', '']) {
      await expect(revokeApiKey(auth, given, null)).rejects.toThrow(UnknownApiKeyError)
    }
  })

  test("is for those who manage the tenant's people; others do not learn whether it exists", async () => {
    const [tenantId, elsewhere] = [await platform.tenant(), await platform.tenant()]
    const { id } = await createApiKey(auth, { name: 'k', tenantId, scopes: ['runs:read'] }, null)
    const ofPlatform = await createApiKey(auth, { name: 'k', tenantId: null, scopes: ['runs:read'] }, null)
    const admin = await principal(await addMemberOf(tenantId, 'admin'))
    const member = await principal(await addMemberOf(tenantId, 'member'))
    const stranger = await principal(await addMemberOf(elsewhere, 'owner'))
    await expect(revokeApiKey(auth, id, stranger)).rejects.toThrow(UnknownApiKeyError)
    await expect(revokeApiKey(auth, ofPlatform.id, admin)).rejects.toThrow(UnknownApiKeyError)
    await expect(revokeApiKey(auth, id, member)).rejects.toThrow(ForbiddenError)
    expect(await revokeApiKey(auth, id, admin)).toBe(true)
    const operator = await principal(await addPerson({ operator: true }))
    expect(await revokeApiKey(auth, ofPlatform.id, operator)).toBe(true)
  })
})

describe('a key is not made', () => {
  test('with what cannot be', async () => {
    const tenantId = await platform.tenant()
    const key = { name: 'k', tenantId, scopes: ['runs:read'] } as const
    const refused = async (change: object, error: new (...args: never[]) => Error) =>
      await expect(createApiKey(auth, { ...key, ...change } as never, null)).rejects.toThrow(error)
    await refused({ name: '' }, InvalidAccountError)
    await refused({ scopes: [] }, InvalidGrantError)
    await refused({ scopes: ['everything'] }, InvalidGrantError)
    await refused({ scopes: ['people:write'] }, InvalidGrantError)
    await refused({ scopes: ['metrics:read'] }, InvalidGrantError)
    await refused({ scopes: ['people:write'], tenantId: null }, InvalidGrantError)
    await refused({ expiresIn: 'soon' }, InvalidGrantError)
    await refused({ expiresIn: 0 }, InvalidGrantError)
    await refused({ expiresIn: '11y' }, InvalidGrantError)
    await refused({ tenantId: 'no_such_tenant' }, UnknownTenantError)
    expect(await listApiKeys(auth, { tenantId })).toEqual([])
  })

  test('by who may not, or with more than they may', async () => {
    const tenantId = await platform.tenant()
    const admin = await principal(await addMemberOf(tenantId, 'admin'))
    const member = await principal(await addMemberOf(tenantId, 'member'))
    const operator = await principal(await addPerson({ operator: true }))
    const key = { name: 'k', tenantId, scopes: ['runs:read'] } as const
    const other = await platform.tenant()
    await allRefused(
      [
        createApiKey(auth, key, member),
        createApiKey(auth, { ...key, tenantId: null }, admin),
        createApiKey(auth, { ...key, tenantId: other }, admin),
        createApiKey(auth, { ...key, tenantId: 'no_such_tenant' }, admin),
        createApiKey(auth, { ...key, scopes: ['payload:read'] }, admin),
        createApiKey(auth, { ...key, scopes: ['payload:read'] }, operator),
      ],
      ForbiddenError,
    )
    expect(await createApiKey(auth, key, admin)).toMatchObject({ tenantId })
    expect(await createApiKey(auth, { ...key, tenantId: null }, operator)).toMatchObject({ tenantId: null })
  })
})
