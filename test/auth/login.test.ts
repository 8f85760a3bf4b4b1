/** Signing in and out, and what ends a session. */
import { hash } from '@node-rs/argon2'
import { describe, expect, test, vi } from 'vitest'
import { newToken } from '../../src/auth/bearer-secret.ts'
import {
  changeOwnPassword,
  disableUser,
  enableUser,
  listSessions,
  login,
  logout,
  principalOf,
  revokeAllSessions,
  revokeSession,
  setPassword,
} from '../../src/auth/index.ts'
import { LoginLimitedError, LoginRefusedError, UnknownUserError } from '../../src/errors.ts'
import {
  addMemberOf,
  addPerson,
  auth,
  cookieOf,
  get,
  newAddress,
  password,
  platform,
  principal,
  signIn,
  useAuthPlatform,
} from './kit.ts'

useAuthPlatform()

const isSignedIn = async (session: { cookie: string }) => (await principalOf(auth, get(session))) !== null

test('the cookie is for https, for this host, and for no script', async () => {
  const { cookie } = await signIn(await addPerson())
  expect(cookie).toMatch(
    /^__Host-cgk_session=[\w-]{43}; Max-Age=1209600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
  )
})

test('without https it has no Secure, for browsers would drop it', async () => {
  const plain = { ...auth, publicUrl: 'http://localhost:3000' }
  const { email } = await addPerson()
  const { cookie } = await login(plain, { email, password, address: newAddress() })
  expect(cookie).toMatch(/^cgk_session=[\w-]{43}; Max-Age=1209600; Path=\/; HttpOnly; SameSite=Lax$/)
  expect(await principalOf(plain, get({ cookie }))).not.toBeNull()
  expect(await principalOf(auth, get({ cookie }))).toBeNull()
})

test('of a token and of a password only hashes are stored', async () => {
  const person = await addPerson()
  const token = cookieOf(await signIn(person)).split('=')[1]!
  const { rows } = await auth.database.query<{ all: string }>(
    `SELECT (SELECT string_agg(sessions::text, '') FROM public.sessions WHERE user_id = $1)
       || (SELECT users::text FROM public.users WHERE id = $1) AS all`,
    [person.id],
  )
  expect(rows[0]!.all).not.toContain(token)
  expect(rows[0]!.all).not.toContain(password)
  expect(rows[0]!.all).toContain('argon2id')
})

test('it signs in whatever the capitals, and says where and when', async () => {
  const person = await addPerson()
  const request = {
    email: ` ${person.email.toUpperCase()} `,
    password,
    address: '203.0.113.9',
    userAgent: 'Browser\0',
  }
  const session = await login(auth, request)
  const now = auth.now()
  expect(await listSessions(auth, person.id)).toEqual([
    {
      id: session.sessionId,
      address: '203.0.113.9',
      userAgent: 'Browser',
      createdAt: now,
      expiresAt: new Date(now.getTime() + 12 * 3_600_000),
    },
  ])
})

test('whoever belongs to one tenant has chosen it; of several none is chosen', async () => {
  const [a, b] = [await platform.tenant(), await platform.tenant()]
  const person = await addMemberOf(a, 'member')
  expect((await principal(person)).tenantId).toBe(a)
  await auth.database.query(
    'INSERT INTO public.user_organizations (user_id, organization_id) SELECT $1, id FROM public.organizations WHERE slug = $2',
    [person.id, b],
  )
  expect((await principal(person)).tenantId).toBeNull()
})

describe('what is refused is refused alike:', () => {
  const attempts: [string, () => Promise<{ email: string; password?: string }>][] = [
    ['a wrong password', async () => ({ ...(await addPerson()), password: `${password}!` })],
    ['an address that nobody has', async () => ({ email: `nobody-${newToken()}@example.com`.toLowerCase() })],
    [
      'a user who is disabled',
      async () => {
        const person = await addPerson()
        await disableUser(auth, person.id, null)
        return person
      },
    ],
    [
      'a user without a password',
      async () => {
        const person = await addPerson()
        await auth.database.query('UPDATE public.users SET password_hash = NULL WHERE id = $1', [person.id])
        return person
      },
    ],
  ]
  test.each(attempts)('%s', async (what, given) => {
    const attempt = await given()
    const verify = vi.spyOn(auth.passwords, 'verify')
    const query = vi.spyOn(auth.database, 'query')
    const error = await login(auth, { password, ...attempt, address: newAddress() }).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(LoginRefusedError)
    expect(error.message).toBe('The e-mail address or the password is wrong.')
    expect(verify).toHaveBeenCalledTimes(1)
    // Who knows the right password of a user who is disabled may notice one step more.
    expect(query).toHaveBeenCalledTimes(what === 'a user who is disabled' ? 6 : 5)
    verify.mockRestore()
    query.mockRestore()
  })

  test.each([
    ['no address', { email: 'x', password }],
    ['a password that is too short to be one', { email: 'a@example.com', password: 'short' }],
    ['no text at all', { email: null, password: 5 } as never],
    ['an attempt at SQL', { email: "' OR 1=1 --", password: "' OR 1=1 --" }],
  ])('%s, before anything is asked', async (_, given) => {
    await expect(login(auth, { ...given, address: newAddress() })).rejects.toThrow(LoginRefusedError)
  })
})

test('a password that was hashed with other parameters is hashed anew when it is used', async () => {
  const person = await addPerson()
  const stored = async () => {
    const { rows } = await auth.database.query<{ hash: string }>(
      'SELECT password_hash AS hash FROM public.users WHERE id = $1',
      [person.id],
    )
    return rows[0]!.hash
  }
  const old = await hash(password, { memoryCost: 8192, timeCost: 1, parallelism: 1 })
  await auth.database.query('UPDATE public.users SET password_hash = $2 WHERE id = $1', [person.id, old])
  await signIn(person)
  const renewed = await stored()
  expect(renewed).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  await signIn(person)
  expect(await stored()).toBe(renewed)
})

describe('a session ends', () => {
  test('when it is not used for 12 hours; used, it goes on', async () => {
    const session = await signIn(await addPerson())
    for (let use = 0; use < 3; use += 1) {
      await platform.advance('11h')
      expect(await isSignedIn(session)).toBe(true)
    }
    await platform.advance('12h')
    expect(await isSignedIn(session)).toBe(false)
  })

  test('after 14 days, however much it is used', async () => {
    const session = await signIn(await addPerson())
    for (let use = 0; use < 30; use += 1) {
      await platform.advance('11h')
      expect(await isSignedIn(session)).toBe(true)
    }
    await platform.advance('6h')
    expect(await isSignedIn(session)).toBe(false)
  })

  test('with logout, and no other with it', async () => {
    const person = await addPerson()
    const [one, two] = [await signIn(person), await signIn(person)]
    const user = await principalOf(auth, get(one))
    if (user?.kind !== 'user') throw new Error('not signed in')
    expect(await logout(auth, user)).toMatch(/^__Host-cgk_session=; Max-Age=0; Path=\/; HttpOnly; Secure/)
    expect([await isSignedIn(one), await isSignedIn(two)]).toEqual([false, true])
  })

  test('when its user ends it, or all; nobody else does', async () => {
    const [person, other] = [await addPerson(), await addPerson()]
    const sessions = [await signIn(person), await signIn(person), await signIn(person)]
    expect(await revokeSession(auth, other.id, sessions[0]!.sessionId)).toBe(false)
    expect(await revokeSession(auth, person.id, 'nonsense')).toBe(false)
    expect(await revokeSession(auth, person.id, sessions[0]!.sessionId)).toBe(true)
    expect(await revokeSession(auth, person.id, sessions[0]!.sessionId)).toBe(false)
    expect(await Promise.all(sessions.map(isSignedIn))).toEqual([false, true, true])
    expect(await revokeAllSessions(auth, person.id)).toBe(2)
    expect(await revokeAllSessions(auth, 'nonsense')).toBe(0)
    expect(await listSessions(auth, person.id)).toEqual([])
  })

  test('when the password changes, or the user is disabled; being enabled brings none back', async () => {
    const person = await addPerson()
    const before = await signIn(person)
    await setPassword(auth, person.id, 'another horse, on Mars', null)
    expect(await isSignedIn(before)).toBe(false)
    await expect(signIn(person)).rejects.toThrow(LoginRefusedError)
    await setPassword(auth, person.id, password, null)
    const after = await signIn(person)
    await disableUser(auth, person.id, null)
    expect(await isSignedIn(after)).toBe(false)
    await enableUser(auth, person.id, null)
    expect(await isSignedIn(after)).toBe(false)
    expect(await isSignedIn(await signIn(person))).toBe(true)
    await expect(setPassword(auth, 'nonsense', password, null)).rejects.toThrow(UnknownUserError)
  })

  test('also when it began at the very moment of the change', async () => {
    const person = await addPerson()
    const verify = vi.spyOn(auth.passwords, 'verify')
    // The password was right when it was compared, and is changed before the session is made.
    verify.mockImplementationOnce(async () => {
      await setPassword(auth, person.id, 'another horse, on Mars', null)
      return true
    })
    await expect(signIn(person)).rejects.toThrow(LoginRefusedError)
    verify.mockRestore()
    expect(await listSessions(auth, person.id)).toEqual([])
  })
})

test('changing one’s own password needs the current one, and ends every session', async () => {
  const person = await addPerson()
  const user = await principal(person)
  const next = 'another horse, on Mars'
  await expect(changeOwnPassword(auth, user, { current: next, next })).rejects.toThrow(LoginRefusedError)
  await expect(changeOwnPassword(auth, user, { current: password, next: 'short' })).rejects.toMatchObject({
    code: 'PASSWORD_INVALID',
  })
  await changeOwnPassword(auth, user, { current: password, next })
  expect(await listSessions(auth, person.id)).toEqual([])
  await login(auth, { email: person.email, password: next, address: newAddress() })
  for (let wrong = 0; wrong < 5; wrong += 1) {
    await expect(changeOwnPassword(auth, user, { current: password, next })).rejects.toThrow(
      LoginRefusedError,
    )
  }
  await expect(changeOwnPassword(auth, user, { current: next, next })).rejects.toThrow(LoginLimitedError)
})

test('sessions that have long ended are swept by those who sign in', async () => {
  const person = await addPerson()
  await signIn(person)
  const count = async () =>
    (await auth.database.query('SELECT FROM public.sessions WHERE user_id = $1', [person.id])).rowCount
  await platform.advance('30d')
  await signIn(await addPerson())
  expect(await count()).toBe(1)
  await platform.advance('1d')
  await signIn(await addPerson())
  await signIn(await addPerson())
  await signIn(await addPerson())
  await signIn(await addPerson())
  expect(await count()).toBe(0)
})
