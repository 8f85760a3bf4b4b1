/** How often somebody may try, over all processes; and that nobody is locked out by others. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { changeOwnPassword, login, setPassword } from '../../src/auth/index.ts'
import { LoginLimitedError, LoginRefusedError } from '../../src/errors.ts'
import { addPerson, auth, newAddress, password, platform, principal, useAuthPlatform } from './kit.ts'

useAuthPlatform()

type Answer = 'in' | 'wrong' | 'limited'

interface From {
  right?: boolean
  cookies?: string | null
}

async function attempt(
  email: string,
  address: string | null,
  { right = false, cookies = null }: From = {},
): Promise<Answer> {
  try {
    await login(auth, { email, password: right ? password : `${password}!`, address, cookies })
    return 'in'
  } catch (error) {
    if (error instanceof LoginRefusedError) return 'wrong'
    if (error instanceof LoginLimitedError) return 'limited'
    throw error
  }
}

async function attempts(count: number, email: string, address: () => string | null): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let one = 0; one < count; one += 1) answers.push(await attempt(email, address()))
  return answers
}

const times = (count: number, answer: Answer) => Array<Answer>(count).fill(answer)

describe.each([
  ['of a user', async () => (await addPerson()).email],
  ['that nobody has', async () => `nobody-${randomBytes(6).toString('hex')}@example.com`],
])('an account %s', (_, account) => {
  test('has five tries from an address, and then one a minute', async () => {
    const [email, address] = [await account(), newAddress()]
    expect(await attempts(7, email, () => address)).toEqual([...times(5, 'wrong'), ...times(2, 'limited')])
    await platform.advance('61s')
    expect(await attempts(2, email, () => address)).toEqual(['wrong', 'limited'])
    await platform.advance('5m')
    expect(await attempts(6, email, () => address)).toEqual([...times(5, 'wrong'), 'limited'])
  })

  test('has thirty from everywhere', async () => {
    const email = await account()
    expect(await attempts(32, email, newAddress)).toEqual([...times(30, 'wrong'), ...times(2, 'limited')])
  })
})

test('tries at the same moment are counted as if one came after the other', async () => {
  const [{ email }, address] = [await addPerson(), newAddress()]
  const answers = await Promise.all(Array.from({ length: 12 }, () => attempt(email, address)))
  expect(answers.sort()).toEqual([...times(7, 'limited'), ...times(5, 'wrong')])
})

test('an address has thirty tries at all accounts; of IPv6, whoever has a /64 has one address', async () => {
  const answers: Answer[] = []
  for (let one = 0; one < 32; one += 1) {
    answers.push(await attempt(`victim${one}@example.com`, `2001:db8:5:5::${one.toString(16)}`))
  }
  expect(answers).toEqual([...times(30, 'wrong'), ...times(2, 'limited')])
  expect(await attempt('victim@example.com', '2001:db8:5:6::1')).toBe('wrong')
})

test('the limit says when to come back, and nothing of the account', async () => {
  const [{ email }, address] = [await addPerson(), newAddress()]
  await attempts(5, email, () => address)
  const right = login(auth, { email, password, address })
  await expect(right).rejects.toMatchObject({
    code: 'LOGIN_LIMITED',
    retryAfterSeconds: 60,
    message: 'There were too many tries to sign in. Try again in 60 seconds.',
  })
})

test('whoever signs in owes nothing for the account; the address still does', async () => {
  const [{ email }, address] = [await addPerson(), newAddress()]
  for (let round = 0; round < 6; round += 1) {
    expect(await attempts(4, email, () => address)).toEqual(times(4, 'wrong'))
    expect(await attempt(email, address, { right: true })).toBe('in')
  }
  expect(await attempt('other@example.com', address)).toBe('limited')
})

test('an attacker with many addresses does not lock a user out of where they have been before', async () => {
  const [{ email }, home] = [await addPerson(), newAddress()]
  expect(await attempt(email, home, { right: true })).toBe('in')
  expect(await attempts(31, email, newAddress)).toEqual([...times(30, 'wrong'), 'limited'])
  expect(await attempt(email, newAddress(), { right: true })).toBe('limited')
  expect(await attempt(email, home, { right: true })).toBe('in')
})

test('nor for ever out of anywhere else', async () => {
  const { email } = await addPerson()
  await attempts(31, email, newAddress)
  await platform.advance('61s')
  expect(await attempt(email, newAddress(), { right: true })).toBe('in')
})

test('where no address is known, the account alone is counted', async () => {
  const [one, two] = [await addPerson(), await addPerson()]
  expect(await attempts(31, one.email, () => null)).toEqual([...times(30, 'wrong'), 'limited'])
  expect(await attempt(two.email, null, { right: true })).toBe('in')
  await platform.advance('61s')
  expect(await attempts(2, one.email, () => null)).toEqual(['wrong', 'limited'])
})

describe('a browser that its user has signed in with before', () => {
  /** What it sends afterwards: it has signed out, or its session has ended. */
  const browserOf = async ({ email }: { email: string }, as = password) => {
    const { deviceCookie } = await login(auth, { email, password: as, address: null })
    expect(deviceCookie).toMatch(
      /^__Host-cgk_device_[0-9a-f]{16}=[\w.-]+; Max-Age=15552000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
    return `other=1; ${deviceCookie.split(';')[0]}`
  }

  test.each([
    ['not known', () => null],
    ['ever another', newAddress],
    ['their own', () => '192.0.2.77'],
  ])('is let in whatever strangers try, their addresses being %s', async (_, address) => {
    const person = await addPerson()
    const cookies = await browserOf(person)
    await attempts(40, person.email, address)
    expect(await attempt(person.email, address(), { right: true })).toBe('limited')
    expect(await attempt(person.email, address(), { right: true, cookies })).toBe('in')
    // What strangers have tried is not forgiven them by that.
    expect(await attempt(person.email, address(), { right: true })).toBe('limited')
  })

  test('has five tries of its own, and then one a minute, which are nobody else’s', async () => {
    const person = await addPerson()
    const [cookies, another] = [await browserOf(person), await browserOf(person)]
    const answers: Answer[] = []
    for (let one = 0; one < 7; one += 1) answers.push(await attempt(person.email, newAddress(), { cookies }))
    expect(answers).toEqual([...times(5, 'wrong'), ...times(2, 'limited')])
    expect(await attempt(person.email, null, { right: true, cookies: another })).toBe('in')
    expect(await attempt(person.email, null, { right: true })).toBe('in')
    await platform.advance('61s')
    expect(await attempt(person.email, null, { cookies })).toBe('wrong')
  })

  test('is none with a cookie that is made up, of another account, of a password of before, or too old', async () => {
    const [person, other] = [await addPerson(), await addPerson()]
    const cookies = await browserOf(person)
    const ofOther = (await browserOf(other)).split('=').at(-1)!
    const [name, value] = cookies.replace('other=1; ', '').split('=') as [string, string]
    const [time, , signature] = value.split('.')
    await attempts(30, person.email, () => null)
    const isKnown = async (text: string) =>
      (await attempt(person.email, null, { right: true, cookies: text })) === 'in'
    expect(await isKnown(`${name}=${value}`)).toBe(true)
    for (const forged of [ofOther, `${time}.${'a'.repeat(22)}.${signature}`, `${value}a`, '', '..']) {
      expect(await isKnown(`${name}=${forged}`), forged).toBe(false)
    }
    expect(await isKnown(`${name}=nonsense; ${name}=${value}`)).toBe(true)
    expect(await isKnown(`${name.replace('__Host-', '')}=${value}`)).toBe(false)

    await platform.advance('180d')
    await attempts(30, person.email, () => null)
    expect(await isKnown(cookies)).toBe(false)

    const fresh = await addPerson()
    const before = await browserOf(fresh)
    await setPassword(auth, fresh.id, 'a whale in the well', null)
    await setPassword(auth, fresh.id, password, null)
    await attempts(30, fresh.email, () => null)
    expect(await attempt(fresh.email, null, { right: true, cookies: before })).toBe('limited')
  })
})

test('strangers do not keep a user who has signed in from changing the password', async () => {
  const person = await addPerson()
  const user = await principal(person)
  await attempts(40, person.email, () => null)
  const next = 'a whale in the well'
  const change = async (current: string) => await changeOwnPassword(auth, user, { current, next })
  for (let one = 0; one < 4; one += 1) await expect(change(`${password}!`)).rejects.toThrow(LoginRefusedError)
  await change(password)
})

test('rows that say nothing any more are swept, and none has what was typed', async () => {
  const { email } = await addPerson()
  await attempts(10, email, newAddress)
  const { rows } = await auth.database.query<{ row: string }>(
    'SELECT l::text AS row FROM public.platform_login_limits AS l',
  )
  expect(rows.length).toBeGreaterThan(20)
  for (const { row } of rows) expect(row).toMatch(/^\("\\\\x[0-9a-f]{64}",/)

  await platform.advance('1h')
  const over = 'SELECT FROM public.platform_login_limits WHERE free_at < $1'
  const left = async () => (await auth.database.query(over, [auth.now()])).rowCount
  const before = await left()
  await attempt((await addPerson()).email, newAddress())
  expect(await left()).toBe(before - 10)
})
