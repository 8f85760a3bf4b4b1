/** What may be a password or an e-mail address, and how passwords are kept. */
import { hash } from '@node-rs/argon2'
import { describe, expect, test } from 'vitest'
import { normalizePassword, parseEmail, parseName, parsePassword } from '../../src/auth/account-text.ts'
import { networkOf } from '../../src/auth/network.ts'
import { Passwords } from '../../src/auth/passwords.ts'
import { InvalidAccountError, InvalidPasswordError, PasswordsBusyError } from '../../src/errors.ts'

const secret = 'a horse on the moon'

describe('a password', () => {
  test.each([
    ['12 characters', 'x'.repeat(12)],
    ['128 characters', 'x'.repeat(128)],
    ['spaces at its ends', '  in between  '],
    ['12 characters of four bytes', '🐴'.repeat(12)],
  ])('may have %s', (_, text) => {
    expect(parsePassword(text)).toBe(text)
  })

  test.each([
    ['11 characters', 'x'.repeat(11)],
    ['129 characters', 'x'.repeat(129)],
    ['11 characters of four bytes', '🐴'.repeat(11)],
    ['half a character', `${'x'.repeat(12)}\u{D800}`],
    ['megabytes', 'x'.repeat(5_000_000)],
    ['one character that becomes 18, too many times', 'ﷺ'.repeat(20)],
    ['no text', 12],
  ])('may not have %s', (_, text) => {
    expect(() => parsePassword(text)).toThrow(InvalidPasswordError)
    expect(normalizePassword(text)).toBeNull()
  })

  test('is the same however it was composed', () => {
    expect(parsePassword('cafe\u0301 au lait!')).toBe(parsePassword('caf\u00e9 au lait!'))
    expect(parsePassword('ｆｕｌｌ ｗｉｄｔｈ １')).toBe('full width 1')
  })
})

describe('an e-mail address', () => {
  test('is kept in lower case, without space around it', () => {
    expect(parseEmail(' Maya@Example.COM\n')).toBe('maya@example.com')
  })

  test.each([
    '',
    'maya',
    'maya@',
    '@example.com',
    'maya@example',
    'm aya@example.com',
    'mаya@example.com',
    null,
  ])('%j is none', (text) => {
    expect(() => parseEmail(text)).toThrow(InvalidAccountError)
  })

  test('is not longer than mail takes', () => {
    expect(() => parseEmail(`${'a'.repeat(250)}@b.co`)).toThrow(InvalidAccountError)
  })
})

test('a name is a line of text', () => {
  expect(parseName(' Maya ')).toBe('Maya')
  for (const name of ['', ' ', 'a\nb', 'a\0', 'x'.repeat(201), 5]) {
    expect(() => parseName(name)).toThrow(InvalidAccountError)
  }
})

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['unknown', null],
  ['203.0.113.7, 10.0.0.1', null],
  [null, null],
])('%s is of the network %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})

describe('hashing', () => {
  const passwords = new Passwords()

  test('is argon2id in PHC format, with a salt of its own each time', async () => {
    const [one, two] = await Promise.all([passwords.hash(secret), passwords.hash(secret)])
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(one).not.toBe(two)
    expect(await passwords.verify(one, secret)).toBe(true)
    expect(await passwords.verify(one, `${secret}!`)).toBe(false)
    expect(await passwords.verify(null, secret)).toBe(false)
  })

  test('knows what was made with other parameters', async () => {
    expect(await passwords.isOutdated(await passwords.hash(secret))).toBe(false)
    for (const other of [
      { memoryCost: 8192 },
      { timeCost: 3 },
      { parallelism: 2 },
      { algorithm: 1 }, // argon2i
    ]) {
      const stored = await hash(secret, { memoryCost: 19_456, timeCost: 2, parallelism: 1, ...other })
      expect(await passwords.isOutdated(stored)).toBe(true)
      expect(await passwords.verify(stored, secret)).toBe(true)
    }
  })

  test('costs as much where there is nothing to compare with', async () => {
    const stored = await passwords.hash(secret)
    const cpu = async (hashed: string | null) => {
      const before = process.cpuUsage()
      for (let round = 0; round < 8; round += 1) await passwords.verify(hashed, secret)
      return process.cpuUsage(before).user
    }
    await cpu(stored)
    const ratio = (await cpu(null)) / (await cpu(stored))
    expect(ratio).toBeGreaterThan(0.5)
    expect(ratio).toBeLessThan(2)
  })

  test('has room for so many at once, tells the others, and then goes on', async () => {
    const small = new Passwords({ atOnce: 1, waiting: 2 })
    const all = await Promise.allSettled(Array.from({ length: 10 }, () => small.hash(secret)))
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1 + 2)
    for (const one of all)
      if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(PasswordsBusyError)
    expect(await small.hash(secret)).toMatch(/^\$argon2id/)
  })
})
