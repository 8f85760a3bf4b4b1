import { randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { disableUser } from '../../../src/auth/index.ts'
import { createHttpApp } from '../../../src/http/index.ts'
import { app, type Caller, callerWith, keyOf, kit, nobody, onPlatform } from './kit.ts'
import { type Account, account, password, postSession, recorded, signIn } from './people.ts'

onPlatform({ tasks: [] })

let tenantId: string
let maya: Account
beforeEach(async () => {
  tenantId = await kit.tenant()
  maya = await account({ name: 'Maya', membership: { tenantId, role: 'admin' } })
})

describe('POST /session', () => {
  test('sets the cookie, and answers who it is and the CSRF token', async () => {
    const response = await postSession({ email: maya.email.toUpperCase(), password })
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({
      csrfToken: expect.stringMatching(/^[\w-]{43}$/),
      user: { id: maya.id, email: maya.email },
    })
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^cgk_session=[\w-]+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/),
      expect.stringMatching(/^cgk_device_\w+=[\w.-]+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/),
    ])
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await recorded('session.open')).toMatchObject({
      actor: { kind: 'user', id: maya.id, name: maya.email },
      tenantId: null,
    })
  })

  test('who is unknown, who is disabled and whose password is wrong are answered alike', async () => {
    const gone = await account()
    const { auth } = await kit.platform.ready()
    await disableUser(auth, gone.id, null)
    const answers = await Promise.all(
      [
        { email: 'nobody@x.test', password },
        { email: gone.email, password },
        { email: maya.email, password: 'a horse on the sun' },
        { email: maya.email, password: 'short' },
        { email: 'no address', password },
      ].map(async (body) => {
        const response = await postSession(body)
        const headers = [...response.headers].filter(([name]) => name !== 'content-length')
        return [response.status, await response.text(), headers]
      }),
    )
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]![0]).toBe(401)
    expect(answers[0]![1]).toContain('LOGIN_REFUSED')
  })

  test('too many tries of one account are refused with when to come back, whatever headers say', async () => {
    const tries = []
    for (let n = 0; n < 7; n++) {
      const headers = {
        'x-forwarded-for': `10.0.0.${n}`,
        'x-real-ip': `10.0.0.${n}`,
        forwarded: `for=10.0.0.${n}`,
      }
      const socket = '192.0.2.7'
      tries.push(await postSession({ email: maya.email, password: 'not this one!' }, { headers, socket }))
    }
    expect(tries.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 429, 429])
    const limited = tries.at(-1)!
    expect(limited.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await limited.json()).toMatchObject({ code: 'LOGIN_LIMITED' })
    // Somebody else from elsewhere is not locked out by it.
    expect((await postSession({ email: maya.email, password }, { socket: '198.51.100.1' })).status).toBe(200)
  })

  test('in an app that knows no address, nobody locks a user out of their own browser', async () => {
    const wrong = { email: maya.email, password: 'not this one!' }
    const first = await postSession({ email: maya.email, password })
    const [, device] = first.headers.getSetCookie().map((cookie) => cookie.split(';')[0]!)
    for (let n = 0; n < 31; n++) await postSession(wrong)
    const right = { email: maya.email, password }
    expect((await postSession(right)).status).toBe(429)
    expect((await postSession(right, { headers: { cookie: device! } })).status).toBe(200)
  })

  test('an app says which address it is, where it knows', async () => {
    const clientAddress = ({ headers }: Request) => headers.get('x-of-my-own-proxy')
    const own = createHttpApp({ platform: kit.platform, clientAddress })
    const sendFrom = async (address: string, password: string) => {
      const headers = { 'content-type': 'application/json', 'x-of-my-own-proxy': address }
      const body = JSON.stringify({ email: maya.email, password })
      return (await own.request('http://test/api/v1/session', { method: 'POST', headers, body })).status
    }
    const tries = []
    for (let n = 0; n < 6; n++) tries.push(await sendFrom('192.0.2.44', 'not this one!'))
    expect(tries).toEqual([401, 401, 401, 401, 401, 429])
    expect(await sendFrom('192.0.2.45', password)).toBe(200)
  })

  test('not from another site, not by a form, and not with anything else', async () => {
    const body = { email: maya.email, password }
    for (const headers of [{ origin: 'https://evil.test' }, { 'sec-fetch-site': 'cross-site' }]) {
      const response = await postSession(body, { headers })
      expect([response.status, await response.json()]).toMatchObject([403, { code: 'CSRF_REFUSED' }])
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await postSession(body, { headers: form })).status).toBe(400)
    expect(await nobody.post('/session', { ...body, remember: true })).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    })
    expect(await nobody.post('/session', '{"email":')).toMatchObject({ status: 400 })
    expect(await nobody.post('/session', { email: maya.email, password: 'x'.repeat(20_000) })).toMatchObject({
      status: 413,
      body: { code: 'BODY_TOO_LARGE' },
    })
  })

  test('no refusal repeats the password', async () => {
    const secret = `secret-${randomBytes(9).toString('hex')}`
    for (const body of [
      { email: maya.email, password: secret },
      { email: [secret], password: [secret] },
      { email: maya.email, password: secret, remember: secret },
      `{"password":"${secret}`,
    ]) {
      const { body: answer } = await nobody.post('/session', body)
      expect(JSON.stringify(answer)).not.toContain(secret)
    }
  })
})

describe('GET /session', () => {
  test('a person: what they belong to, and what they may there', async () => {
    const browser = await signIn(maya)
    expect(await browser.get('/session')).toMatchObject({
      status: 200,
      body: {
        kind: 'user',
        id: maya.id,
        name: maya.email,
        tenantId,
        permissions: [],
        tenants: [
          { tenantId, role: 'admin', permissions: expect.arrayContaining(['people:write', 'runs:read']) },
        ],
        csrfToken: browser.csrfToken,
      },
    })
    const operator = await signIn(await account({ operator: true }))
    expect((await operator.get('/session')).body).toMatchObject({
      tenantId: null,
      permissions: expect.arrayContaining(['tenants:write', 'metrics:read']),
      tenants: [],
    })
  })

  test('a key, and nobody', async () => {
    const key = await keyOf(tenantId, ['runs:read'])
    expect((await key.get('/session')).body).toEqual({
      kind: 'key',
      id: expect.any(String),
      name: expect.stringMatching(/^test \(cgk_live_\w+\)$/),
      tenantId,
      permissions: [],
      tenants: [{ tenantId, role: null, permissions: ['runs:read'] }],
      csrfToken: null,
    })
    expect(await nobody.get('/session')).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } })
  })
})

test('a key has no session, and nobody has none', async () => {
  const key = await keyOf(tenantId, ['runs:read'])
  const ask = async (caller: Caller) => [
    await caller.delete('/session'),
    await caller.put('/session/password', { current: password, next: password }),
    await caller.put('/session/tenant', { tenantId }),
    await caller.get('/sessions'),
    await caller.delete('/sessions/00000000-0000-4000-8000-000000000000'),
  ]
  for (const answer of await ask(key))
    expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
  for (const answer of await ask(nobody)) expect(answer.status).toBe(401)
})

describe('ending sessions', () => {
  test('signing out takes the cookie away, and it is worth nothing any more', async () => {
    const browser = await signIn(maya)
    const { status, headers } = await browser.delete('/session')
    expect([status, headers.get('set-cookie')]).toEqual([204, expect.stringContaining('Max-Age=0')])
    expect((await browser.get('/session')).status).toBe(401)
    expect(await recorded('session.end')).toMatchObject({ actor: { id: maya.id } })
  })

  test("one of several, and only of one's own", async () => {
    const [laptop, phone, other] = [await signIn(maya), await signIn(maya), await signIn(await account())]
    const { sessions } = (await laptop.get('/sessions')).body
    expect(sessions).toMatchObject([{ isCurrent: false }, { isCurrent: true }])
    const path = `/sessions/${sessions[0].id}`
    expect(await other.delete(path)).toMatchObject({ status: 200, body: { ended: false } })
    expect((await phone.get('/session')).status).toBe(200)
    expect(await laptop.delete(path)).toMatchObject({ status: 200, body: { ended: true } })
    expect((await phone.get('/session')).status).toBe(401)
    expect(await laptop.delete(path)).toMatchObject({ body: { ended: false } })
    expect(await laptop.delete('/sessions/nonsense')).toMatchObject({ status: 400 })
  })

  test('whoever is disabled is refused at the next request', async () => {
    const browser = await signIn(maya)
    const { auth } = await kit.platform.ready()
    await disableUser(auth, maya.id, null)
    expect(await browser.get('/tenants')).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } })
  })
})

describe('PUT /session/tenant', () => {
  test("chooses among one's own; others are the same as none", async () => {
    const browser = await signIn(maya)
    const neighbour = await kit.tenant()
    for (const stranger of [neighbour, 'no_such_tenant']) {
      expect(await browser.put('/session/tenant', { tenantId: stranger })).toMatchObject({
        status: 403,
        body: { code: 'FORBIDDEN', detail: 'You have no access to this tenant.' },
      })
    }
    expect(await browser.put('/session/tenant', { tenantId })).toMatchObject({ status: 200 })
    const operator = await signIn(await account({ operator: true }))
    expect(await operator.put('/session/tenant', { tenantId: neighbour })).toMatchObject({ status: 200 })
    expect((await operator.get('/session')).body.tenantId).toBe(neighbour)
  })
})

describe('PUT /session/password', () => {
  const next = 'a whale in the well'

  test('ends every session and makes the next one the password', async () => {
    const [browser, phone] = [await signIn(maya), await signIn(maya)]
    const { status, headers } = await browser.put('/session/password', { current: password, next })
    expect([status, headers.get('set-cookie')]).toEqual([204, expect.stringContaining('Max-Age=0')])
    for (const one of [browser, phone]) expect((await one.get('/session')).status).toBe(401)
    expect((await postSession({ email: maya.email, password })).status).toBe(401)
    expect((await postSession({ email: maya.email, password: next })).status).toBe(200)
    expect(await recorded('user.password')).toMatchObject({ actor: { id: maya.id }, subject: maya.id })
  })

  test('not with a wrong one, and not to one that is none', async () => {
    const browser = await signIn(maya)
    const wrong = { current: 'not this one!', next }
    expect(await browser.put('/session/password', wrong)).toMatchObject({
      status: 401,
      body: { code: 'LOGIN_REFUSED' },
    })
    expect(await browser.put('/session/password', { current: password, next: 'short' })).toMatchObject({
      status: 422,
      body: { code: 'PASSWORD_INVALID' },
    })
    expect((await browser.get('/session')).status).toBe(200)
  })
})

describe('headers change nothing but cookie and key', () => {
  test('every unsafe request with the cookie needs the token of that session', async () => {
    const { cookie, csrfToken } = await signIn(maya)
    const other = await signIn(maya)
    const refused = [
      {},
      { 'x-csrf-token': other.csrfToken },
      { 'x-csrf-token': csrfToken, origin: 'https://evil.test' },
      { 'x-csrf-token': csrfToken, 'sec-fetch-site': 'same-site' },
    ]
    const { paths } = (await nobody.get('/openapi.json')).body
    const unsafe = Object.entries<object>(paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== 'get')
        .map((method) => [method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'x')] as const)
        .filter(([method, path]) => `${method} ${path}` !== 'POST /session'),
    )
    expect(unsafe.length).toBeGreaterThan(30)
    for (const [method, path] of unsafe) {
      for (const headers of refused) {
        const init = {
          method,
          headers: { cookie, 'content-type': 'application/json', ...headers },
          body: '{}',
        }
        const response = await app.request(`http://test/api/v1${path}`, init)
        const { code } = (await response.json()) as { code: string }
        // Accepting an invitation looks at the body first: it needs no session.
        if (path === '/invitations/accept') expect(response.status, path).toBeGreaterThanOrEqual(400)
        else expect([response.status, code], `${method} ${path}`).toEqual([403, 'CSRF_REFUSED'])
      }
    }
  })

  test('a second key or cookie, or both at once, is refused rather than chosen from', async () => {
    const { cookie } = await signIn(maya)
    const twice = new Headers()
    twice.append('authorization', 'Bearer cgk_live_one')
    twice.append('authorization', 'Bearer cgk_live_two')
    const response = await app.request('http://test/api/v1/session', { headers: twice })
    expect(response.status).toBe(400)
    for (const headers of [{ cookie: `${cookie}; ${cookie}` }, { cookie: `cgk_session=forged; ${cookie}` }]) {
      expect((await callerWith(headers).get('/session')).status).toBe(401)
    }
    const both = callerWith({ cookie, authorization: 'Bearer cgk_live_x' })
    expect(await both.get('/session')).toMatchObject({ status: 400, body: { code: 'CREDENTIALS_AMBIGUOUS' } })
  })

  test('what a header says of tenant, user or host is not heard', async () => {
    const neighbour = await kit.tenant()
    const { cookie } = await signIn(maya)
    const forged = {
      cookie,
      'x-tenant-id': neighbour,
      'x-user-id': '00000000-0000-4000-8000-000000000000',
      'x-forwarded-host': 'evil.test',
      'x-original-url': '/api/v1/users',
      'x-http-method-override': 'DELETE',
      host: 'evil.test',
    }
    const browser = callerWith(forged)
    expect((await browser.get('/session')).body).toMatchObject({ id: maya.id, tenantId })
    expect(await browser.get(`/tenants/${neighbour}`)).toMatchObject({ status: 404 })
    expect((await browser.get('/tenants')).body.tenants).toMatchObject([{ tenantId }])
  })
})
