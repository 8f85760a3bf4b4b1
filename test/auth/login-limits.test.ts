/** How often somebody may try, over all processes; and that nobody is locked out by others. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { login } from '../../src/auth/index.ts'
import { LoginLimitedError, LoginRefusedError } from '../../src/errors.ts'
import { addPerson, auth, newAddress, password, platform, useAuthPlatform } from './kit.ts'

useAuthPlatform()

type Answer = 'in' | 'wrong' | 'limited'

async function attempt(email: string, address: string | null, right = false): Promise<Answer> {
  try {
    await login(auth, { email, password: right ? password : `${password}!`, address })
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
    expect(await attempt(email, address, true)).toBe('in')
  }
  expect(await attempt('other@example.com', address)).toBe('limited')
})

test('an attacker with many addresses does not lock a user out of where they have been before', async () => {
  const [{ email }, home] = [await addPerson(), newAddress()]
  expect(await attempt(email, home, true)).toBe('in')
  expect(await attempts(31, email, newAddress)).toEqual([...times(30, 'wrong'), 'limited'])
  expect(await attempt(email, newAddress(), true)).toBe('limited')
  expect(await attempt(email, home, true)).toBe('in')
})

test('nor for ever out of anywhere else', async () => {
  const { email } = await addPerson()
  await attempts(31, email, newAddress)
  await platform.advance('61s')
  expect(await attempt(email, newAddress(), true)).toBe('in')
})

test('where no address is known, the account alone is counted', async () => {
  const [one, two] = [await addPerson(), await addPerson()]
  expect(await attempts(6, one.email, () => null)).toEqual([...times(5, 'wrong'), 'limited'])
  expect(await attempt(two.email, null, true)).toBe('in')
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
