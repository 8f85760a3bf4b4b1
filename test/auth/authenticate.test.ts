/** From a request to whoever sent it: what is believed, what is refused, and what it costs. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { keySql, sessionSql } from '../../src/auth/authenticate.ts'
import { newKey, newToken } from '../../src/auth/bearer-secret.ts'
import {
  checkSameSite,
  csrfTokenOf,
  disableUser,
  principalOf,
  requireAuth,
  revokeApiKey,
} from '../../src/auth/index.ts'
import { getTenantContext, requireAuth as requireAuthOfApp } from '../../src/default-platform.ts'
import {
  AmbiguousCredentialsError,
  CrossSiteRequestError,
  NoTenantChosenError,
  UnauthenticatedError,
} from '../../src/errors.ts'
import {
  addKey,
  addMemberOf,
  addPerson,
  auth,
  cookieOf,
  get,
  platform,
  post,
  publicUrl,
  signIn,
  useAuthPlatform,
  withKey,
} from './kit.ts'

useAuthPlatform()

test('a session is its user, with roles and permissions of each tenant', async () => {
  const tenantId = await platform.tenant()
  const person = await addMemberOf(tenantId, 'admin', ['payload:read'])
  const session = await signIn(person)
  expect(await requireAuthOfApp(get(session))).toEqual({
    kind: 'user',
    id: person.id,
    name: person.email,
    addressConfirmed: true,
    tenantId,
    operator: false,
    permissions: [],
    memberships: new Map([[tenantId, { role: 'admin', permissions: ['payload:read'], withheld: [] }]]),
    sessionId: session.sessionId,
  })
  expect(await getTenantContext(get(session))).toMatchObject({ tenantId, role: 'admin' })
})

test('a key is its tenant and its scopes, or the platform', async () => {
  const tenantId = await platform.tenant()
  const [own, wide] = [await addKey(tenantId, ['runs:read']), await addKey(null, ['metrics:read'])]
  expect(await requireAuth(auth, withKey(own))).toEqual({
    kind: 'key',
    id: expect.any(String),
    name: `deploy (${own.slice(0, 17)})`,
    tenantId,
    scopes: ['runs:read'],
  })
  expect(await requireAuth(auth, withKey(wide))).toMatchObject({ tenantId: null, scopes: ['metrics:read'] })
  expect(await getTenantContext(withKey(own))).toMatchObject({ tenantId, role: 'key' })
  await expect(getTenantContext(withKey(wide))).rejects.toThrow(NoTenantChosenError)
})

test('whoever belongs nowhere has chosen no tenant', async () => {
  const session = await signIn(await addPerson({ operator: true, permissions: ['payload:read'] }))
  expect(await requireAuth(auth, get(session))).toMatchObject({
    operator: true,
    permissions: ['payload:read'],
    tenantId: null,
  })
  await expect(getTenantContext(get(session))).rejects.toThrow(NoTenantChosenError)
})

describe('nobody:', () => {
  const nobody = async (request: Request) => {
    expect(await principalOf(auth, request)).toBeNull()
    await expect(requireAuthOfApp(request)).rejects.toThrow(UnauthenticatedError)
  }

  test('without anything', async () => {
    await nobody(new Request(publicUrl))
  })

  test.each([
    ['made up', () => newKey()],
    ['cut off', (key: string) => key.slice(0, -1)],
    [
      'with a digit changed',
      (key: string) => `${key.slice(0, 20)}${key[20] === '0' ? '1' : '0'}${key.slice(21)}`,
    ],
    ['in capitals', (key: string) => key.toUpperCase()],
    ['of another platform', (key: string) => key.replace('cgk_', 'sk_')],
    ['its stored hash', () => 'ab'.repeat(32)],
  ])('a key %s', async (_, change) => {
    await nobody(withKey(change(await addKey(null, ['runs:read']))))
  })

  test('a key that was made up asks the database nothing', async () => {
    const query = vi.spyOn(auth.database, 'query')
    await nobody(withKey(`cgk_live_${randomBytes(36).toString('hex')}`))
    expect(query).not.toHaveBeenCalled()
    query.mockRestore()
  })

  test('a token that was made up, one without the prefix of https, and two at once', async () => {
    const session = await signIn(await addPerson())
    const own = cookieOf(session)
    const cookie = (text: string) => new Request(publicUrl, { headers: { cookie: text } })
    expect(await principalOf(auth, cookie(`theme=dark; ${own}; x=1`))).not.toBeNull()
    await nobody(cookie(`__Host-cgk_session=${newToken()}`))
    await nobody(cookie(`__Host-cgk_session=short`))
    await nobody(cookie(own.replace('__Host-', '')))
    await nobody(cookie(`${own}; __Host-cgk_session=${newToken()}`))
  })

  test('a key that was revoked or has expired, a user who is disabled', async () => {
    const person = await addPerson()
    const session = await signIn(person)
    const key = await addKey(null, ['runs:read'])
    await disableUser(auth, person.id, null)
    await revokeApiKey(auth, key.slice(0, 17), null)
    await nobody(get(session))
    await nobody(withKey(key))
  })
})

test('no other header is believed', async () => {
  const [a, b] = [await platform.tenant(), await platform.tenant()]
  const person = await addMemberOf(a, 'member')
  const lies = {
    'x-tenant-id': b,
    'x-user-id': person.id,
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-for': '127.0.0.1',
    host: `${b}.jobs.example.com`,
  }
  expect(await getTenantContext(get(await signIn(person), lies))).toMatchObject({ tenantId: a })
  expect(await getTenantContext(withKey(await addKey(a, ['runs:read']), lies))).toMatchObject({ tenantId: a })
  expect(await principalOf(auth, get(null, lies))).toBeNull()
})

test('a session and a key at once are refused, and so is what is no key', async () => {
  const session = await signIn(await addPerson())
  const key = await addKey(null, ['runs:read'])
  const refused = async (authorization: string, from: typeof session | null) =>
    await expect(requireAuth(auth, get(from, { authorization }))).rejects.toThrow(AmbiguousCredentialsError)
  await refused(`Bearer ${key}`, session)
  await refused(`Bearer ${key}`, { ...session, cookie: '__Host-cgk_session=broken' })
  await refused('Basic bWF5YTpwYXNz', session)
  await refused('Basic bWF5YTpwYXNz', null)
  await refused('Bearer', null)
})

describe('another site cannot make a browser change anything:', () => {
  test('a request that changes something needs the token of its session', async () => {
    const [one, two] = [await signIn(await addPerson()), await signIn(await addPerson())]
    expect(csrfTokenOf(auth, get(one))).toBe(one.csrfToken)
    expect(csrfTokenOf(auth, get(null))).toBeNull()
    expect(await requireAuth(auth, post(one))).toMatchObject({ kind: 'user' })
    for (const wrong of ['', two.csrfToken, `${one.csrfToken}=`, one.csrfToken.slice(1)]) {
      await expect(requireAuth(auth, post(one, { 'x-csrf-token': wrong }))).rejects.toThrow(
        CrossSiteRequestError,
      )
    }
    for (const method of ['PUT', 'PATCH', 'DELETE', 'POST', 'PURGE']) {
      const request = new Request(publicUrl, { method, headers: { cookie: cookieOf(one) } })
      await expect(requireAuth(auth, request)).rejects.toThrow(CrossSiteRequestError)
    }
  })

  test.each([
    ['origin', 'https://evil.example'],
    ['origin', 'http://jobs.example.com'],
    ['origin', 'https://jobs.example.com.evil.example'],
    ['origin', 'null'],
    ['sec-fetch-site', 'cross-site'],
    ['sec-fetch-site', 'same-site'],
  ])('a browser that says %s: %s', async (header, value) => {
    const session = await signIn(await addPerson())
    await expect(requireAuth(auth, post(session, { [header]: value }))).rejects.toThrow(CrossSiteRequestError)
    // Reading is not changing.
    expect(await principalOf(auth, get(session, { [header]: value }))).not.toBeNull()
  })

  test('with a key there is nothing to protect: no browser adds one by itself', async () => {
    const request = withKey(await addKey(null, ['runs:trigger']), { origin: 'https://app.example' }, 'POST')
    expect(await requireAuth(auth, request)).toMatchObject({ kind: 'key' })
  })

  test('where no address is configured, the origin must be the one that was asked', () => {
    const from = (origin: string) =>
      new Request('http://localhost:3000/login', { method: 'POST', headers: { origin } })
    expect(() => checkSameSite(from('http://localhost:3000'), null)).not.toThrow()
    expect(() => checkSameSite(from('http://localhost:8080'), null)).toThrow(CrossSiteRequestError)
  })
})

test('a request costs one statement, and writes once a minute at most', async () => {
  const session = await signIn(await addPerson())
  const key = await addKey(null, ['runs:read'])
  const used = async () => {
    const { rows } = await auth.database.query<{ at: Date | null }>(
      'SELECT last_used_at AS at FROM public.api_keys WHERE key_prefix = $1',
      [key.slice(0, 17)],
    )
    return rows[0]!.at
  }
  const ends = async () => {
    const { rows } = await auth.database.query<{ at: Date }>(
      'SELECT expires_at AS at FROM public.sessions WHERE id = $1',
      [session.sessionId],
    )
    return rows[0]!.at
  }
  const query = vi.spyOn(auth.database, 'query')
  const connect = vi.spyOn(auth.database.pool, 'connect')
  await requireAuth(auth, get(session))
  await requireAuth(auth, withKey(key))
  expect(query).toHaveBeenCalledTimes(2)
  expect(connect).toHaveBeenCalledTimes(2)
  query.mockRestore()
  connect.mockRestore()

  const [firstUse, firstEnd] = [await used(), await ends()]
  expect(firstUse).toEqual(auth.now())
  await platform.advance('59s')
  await requireAuth(auth, get(session))
  await requireAuth(auth, withKey(key))
  expect([await used(), await ends()]).toEqual([firstUse, firstEnd])
  await platform.advance('2s')
  await requireAuth(auth, get(session))
  await requireAuth(auth, withKey(key))
  expect(await used()).toEqual(auth.now())
  expect((await ends()).getTime() - firstEnd.getTime()).toBe(61_000)
})

test('among many sessions, keys and tenants it looks up by indexes alone', async () => {
  await auth.database.script(`
    INSERT INTO public.users (email, password_hash) SELECT 'many' || n || '@example.com', '-' FROM generate_series(1, 5000) n;
    INSERT INTO public.organizations (slug, name) SELECT 'many_' || n, 'x' FROM generate_series(1, 5000) n;
    INSERT INTO public.user_organizations (user_id, organization_id)
      SELECT users.id, organizations.id FROM public.users JOIN public.organizations ON email = replace(slug, '_', '') || '@example.com';
    INSERT INTO public.sessions (user_id, token_hash, expires_at)
      SELECT id, id::text || n, now() FROM public.users, generate_series(1, 4) n;
    INSERT INTO public.api_keys (organization_id, key_hash, key_prefix, name)
      SELECT id, id::text, 'x', 'x' FROM public.organizations;
    ANALYZE public.users, public.organizations, public.user_organizations, public.sessions, public.api_keys`)
  const now = new Date()
  for (const [text, values] of [
    [sessionSql, ['x', now, now, '14 days', '1 minute']],
    [keySql, ['x', now, '1 minute']],
  ] as const) {
    const { rows } = await auth.database.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, values)
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    expect(plan).toMatch(/Index Scan using (sessions_token_hash_key|api_keys_key_hash_key)/)
    expect(plan).not.toContain('Seq Scan')
  }
})
