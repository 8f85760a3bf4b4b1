import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { createLogger } from '../src/log.ts'
import { redact, rememberSecret } from '../src/redact.ts'
import { Secret } from '../src/secret.ts'
import { storableError, storableOutput } from '../src/task/json.ts'

const secret = `sk_live_${randomBytes(12).toString('hex')}`
const key = `-----BEGIN KEY-----\n${randomBytes(12).toString('hex')}\n"quoted"`
for (const one of [secret, key]) rememberSecret(one)

describe('a known secret is taken out', () => {
  test.each([
    [`${secret}`, '[redacted]'],
    [`a ${secret}${secret} b`, 'a [redacted][redacted] b'],
    [`Bearer=${secret}&x`, 'Bearer=[redacted]&x'],
    [JSON.stringify({ key }), '{"key":"[redacted]"}'],
    [`[${key}]`, '[[redacted]]'],
    [secret.slice(0, -1), secret.slice(0, -1)],
    [secret.slice(1), secret.slice(1)],
    ['nothing in here', 'nothing in here'],
    ['', ''],
  ])('%#', (text, clean) => {
    expect(redact(text)).toBe(clean)
  })

  test('of a log line, wherever it stands, and fields by their name', () => {
    const lines: string[] = []
    const logger = createLogger('info', { write: (line) => void lines.push(line) })
    logger.info({ note: `it is ${secret}`, deep: { a: { b: secret } } }, `the key ${secret}`)
    logger.child({ tenant: secret }).error({ err: new Error(`refused ${secret}`, { cause: secret }) })
    logger.info({
      apiKey: 'short',
      request: { headers: { authorization: 'Bearer x' } },
      nested: { password: 'hunter2' },
    })
    expect(lines.join('')).not.toContain(secret)
    expect(lines.join('')).not.toMatch(/"short"|Bearer x|hunter2/)
    expect(JSON.parse(lines[0]!)).toMatchObject({ note: 'it is [redacted]', msg: 'the key [redacted]' })
  })

  test('of what a run leaves behind, also at the place where it is cut', () => {
    expect(storableOutput({ [secret]: [secret, { key }] })).toEqual({
      '[redacted]': ['[redacted]', { key: '[redacted]' }],
    })
    const error = storableError(Object.assign(new Error(`${'x'.repeat(3_990)}${secret}`), { code: secret }))
    expect(JSON.stringify(error)).not.toContain(secret.slice(0, 12))
    expect(storableError(`thrown ${secret}`).message).toBe('thrown [redacted]')
  })

  test('that is a part of another, whichever was known first', () => {
    const whole = `whsec_${randomBytes(12).toString('hex')}`
    for (const part of [whole.slice(0, 20), whole.slice(6), whole.slice(4, 22), whole]) rememberSecret(part)
    expect(redact(`a ${whole} b`)).toBe('a [redacted] b')
    expect(redact(`a ${whole.slice(0, 20)} b ${whole.slice(6)} c`)).toBe('a [redacted] b [redacted] c')
  })

  test('and JSON stays JSON, whatever somebody has chosen for a secret', () => {
    for (const chosen of [
      '"note":"thanks a lot"',
      '2026010120260101',
      '{"level":30,"time":',
      'true,"note":"thanks',
    ])
      rememberSecret(chosen)
    const output = { order: 2026010120260101, note: 'thanks a lot', 'true,"note":"thanks': true }
    expect(storableOutput(output)).toEqual({
      order: 2026010120260101,
      note: 'thanks a lot',
      '[redacted]': true,
    })
    const lines: string[] = []
    createLogger('info', { write: (line) => void lines.push(line) }).info(
      { ...output, secret: 1 },
      `with ${secret}`,
    )
    expect(JSON.parse(lines[0]!)).toMatchObject({
      order: 2026010120260101,
      note: 'thanks a lot',
      msg: 'with [redacted]',
    })
    expect(lines[0]).toMatch(/}\n$/)
  })

  test('and what is too short to be one is left alone', () => {
    for (const chosen of ['order', 'completed']) rememberSecret(chosen)
    expect(redact('an order is an order')).toBe('an order is an order')
  })

  test('in a megabyte, in one pass', () => {
    for (let index = 0; index < 5_000; index += 1)
      rememberSecret(`sk_live_${randomBytes(12).toString('hex')}`)
    const text = `${'lorem ipsum '.repeat(80_000)}${secret}`
    const startedAt = performance.now()
    expect(redact(text).endsWith('[redacted]')).toBe(true)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })
})

test('a Secret shows itself to nobody but who asks', () => {
  const held = new Secret(secret)
  const shown = [`${held}`, JSON.stringify({ held }), inspect({ held }, { depth: 9, showHidden: true })]
  for (const text of shown) expect(text).not.toContain(secret)
  expect(held.reveal()).toBe(secret)
})

test('a dump of the configuration shows no password and no key', () => {
  const config = readConfig({
    databaseUrl: 'postgres://jobs:hunter2@db/app?password=hunter3&x=1',
    directUrl: 'postgres://jobs:hunter4@db/app',
    redisUrl: 'redis://:hunter6@cache:6379',
    encryptionKeys: Buffer.alloc(32, 'k').toString('base64'),
    services: { stripe: { baseUrl: 'http://proxy:hunter5@host:1', timeoutMs: 10 }, wise: { timeoutMs: 10 } },
  })
  for (const text of [
    JSON.stringify(config),
    inspect(config, { depth: 9 }),
    inspect({ config }, { depth: 9 }),
  ]) {
    expect(text).not.toMatch(/hunter\d|kkkk|a2tra/)
    expect(text).toContain('postgres://jobs:[secret]@db/app')
    expect(text).toContain('http://proxy:[secret]@host:1')
    expect(text).toContain('redis://:[secret]@cache:6379')
  }
  expect(config.databaseUrl).toContain('hunter2')
})
