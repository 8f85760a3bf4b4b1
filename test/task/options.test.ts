import { describe, expect, test } from 'vitest'
import { InvalidTriggerOptionsError } from '../../src/errors.ts'
import { readTriggerOptions, type TriggerOptions } from '../../src/task/options.ts'

const read = (options: TriggerOptions) => readTriggerOptions(options, { maxAttempts: 3 })
const day = 86_400_000

test('nothing said', () => {
  expect(read({})).toEqual({
    idempotency: null,
    delayMs: 0,
    runAt: null,
    priority: 0,
    ttlMs: null,
    tags: [],
    maxAttempts: 3,
  })
})

test('everything said', () => {
  const runAt = new Date(Date.now() + day)
  const options = {
    idempotencyKey: 'k',
    idempotencyKeyTtl: '1h',
    runAt: runAt.toISOString(),
    priority: -3,
    ttl: 5_000,
    tags: ['b', 'a', 'b'],
    maxAttempts: 1,
  } as const
  expect(read(options)).toEqual({
    idempotency: { key: 'k', ttlMs: 3_600_000 },
    delayMs: 0,
    runAt,
    priority: -3,
    ttlMs: 5_000,
    tags: ['b', 'a'],
    maxAttempts: 1,
  })
})

test('an idempotency key is kept for seven days, a delay may be long', () => {
  expect(read({ idempotencyKey: 'k' }).idempotency).toEqual({ key: 'k', ttlMs: 7 * day })
  expect(read({ delay: '365d' }).delayMs).toBe(365 * day)
})

describe('refused, with the option in the message', () => {
  const refusals: [options: Record<string, unknown>, message: RegExp][] = [
    [{ idempotencyKey: '' }, /idempotencyKey/],
    [{ idempotencyKey: 'a\0' }, /idempotencyKey/],
    [{ idempotencyKey: '\u{d800}' }, /idempotencyKey/],
    [{ idempotencyKey: 'x'.repeat(513) }, /idempotencyKey/],
    [{ idempotencyKey: 5 }, /idempotencyKey/],
    [{ idempotencyKeyTtl: '1h' }, /needs an idempotencyKey/],
    [{ idempotencyKey: 'k', idempotencyKeyTtl: '1ms' }, /idempotencyKeyTtl/],
    [{ delay: 'soon' }, /delay/],
    [{ delay: -1 }, /delay/],
    [{ delay: Number.NaN }, /delay/],
    [{ delay: '11y' }, /delay/],
    [{ delay: '1h', runAt: new Date() }, /delay and runAt/],
    [{ runAt: 'tomorrow' }, /runAt/],
    [{ runAt: new Date(Number.NaN) }, /runAt/],
    [{ runAt: '2999-01-01' }, /runAt/],
    [{ priority: 1.5 }, /priority/],
    [{ priority: 2_000_000 }, /priority/],
    [{ priority: '1' }, /priority/],
    [{ ttl: '10ms' }, /ttl/],
    [{ ttl: 'never' }, /ttl/],
    [{ tags: 'red' }, /tags/],
    [{ tags: [''] }, /tags/],
    [{ tags: ['a\0'] }, /tags/],
    [{ tags: [5] }, /tags/],
    [{ tags: ['x'.repeat(129)] }, /tags/],
    [{ tags: Array.from({ length: 11 }, (_, index) => `t${index}`) }, /tags/],
    [{ maxAttempts: 0 }, /maxAttempts/],
    [{ maxAttempts: 101 }, /maxAttempts/],
  ]
  test.each(refusals)('%j', (options, message) => {
    expect(() => read(options as TriggerOptions)).toThrow(InvalidTriggerOptionsError)
    expect(() => read(options as TriggerOptions)).toThrow(message)
  })
})
