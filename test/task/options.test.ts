import { describe, expect, test } from 'vitest'
import { InvalidTriggerOptionsError } from '../../src/errors.ts'
import { defineTask, tenantPayload } from '../../src/index.ts'
import { readTriggerOptions, readWaitOptions, type TriggerOptions } from '../../src/task/options.ts'

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

test('a time that is over is a time; text without a zone is local', () => {
  expect(read({ runAt: new Date(0) }).runAt).toEqual(new Date(0))
  expect(read({ runAt: '1999-12-31' }).runAt).toEqual(new Date('1999-12-31T00:00Z'))
  expect(read({ runAt: '2001-02-03T04:05:06.789+02:00' }).runAt).toEqual(new Date('2001-02-03T02:05:06.789Z'))
  expect(read({ runAt: '2001-02-03T04:05' }).runAt).toEqual(new Date(2001, 1, 3, 4, 5))
})

test('waiting: ten minutes, or as long as is said', () => {
  const { signal } = new AbortController()
  expect(readWaitOptions({})).toEqual({ timeoutMs: 600_000 })
  expect(readWaitOptions({ timeout: '2s', signal })).toEqual({ timeoutMs: 2_000, signal })
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
    [{ runAt: new Date(-8.64e15) }, /runAt is before 1970/],
    [{ runAt: '1969-12-31' }, /runAt is before 1970/],
    [{ runAt: null }, /runAt/],
    [{ runAt: 0 }, /runAt/],
    [{ runAt: Date.now() }, /runAt/],
    [{ runAt: 'May 5' }, /runAt/],
    [{ runAt: '5' }, /runAt/],
    [{ dely: '1h' }, /no option dely/],
    [{ timeout: '1h' }, /no option timeout/],
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

describe('waiting is refused,', () => {
  const refusals: [options: unknown, message: RegExp][] = [
    [null, /must be an object/],
    [{ timeout: Number.NaN }, /timeout/],
    [{ timeout: -1 }, /timeout/],
    [{ timeout: 0 }, /timeout/],
    [{ timeout: 'long' }, /timeout/],
    [{ timeout: null }, /timeout/],
    [{ timeoutMs: 5 }, /no option timeoutMs/],
    [{ signal: null }, /signal/],
    [{ signal: new AbortController() }, /signal/],
  ]
  test.each(refusals)('%j', (options, message) => {
    expect(() => readWaitOptions(options as object)).toThrow(InvalidTriggerOptionsError)
    expect(() => readWaitOptions(options as object)).toThrow(message)
  })
})

describe('a task refuses before anything is connected to', () => {
  const task = defineTask({ id: 'options/any', payload: tenantPayload({}), run: () => null })
  const payload = { tenantId: 'acme' }

  test.each([null, 'soon', ['1h'], { dely: '1h' }])('the options %j', async (options) => {
    for (const triggering of [
      task.trigger(payload, options as never),
      task.triggerAndWait(payload, options as never),
      task.batchTrigger([{ payload, options: options as never }]),
    ]) {
      await expect(triggering).rejects.toThrow(InvalidTriggerOptionsError)
    }
  })

  test('the wrong way to wait', async () => {
    await expect(task.triggerAndWait(payload, { timeout: -1 })).rejects.toThrow(/timeout must be/)
    await expect(task.triggerAndWait(payload, { timeoutMs: 5 } as never)).rejects.toThrow(
      /no option timeoutMs/,
    )
  })

  test.each([undefined, null, {}, 'abc'])('the batch %j', async (items) => {
    const triggering = task.batchTrigger(items as never)
    await expect(triggering).rejects.toThrow(InvalidTriggerOptionsError)
    await expect(triggering).rejects.toThrow(/A batch is a list of items/)
  })

  test.each([null, undefined, 5])('the item %j', async (item) => {
    const triggering = task.batchTrigger([item as never])
    await expect(triggering).rejects.toThrow(InvalidTriggerOptionsError)
    await expect(triggering).rejects.toThrow(/Item 0 of the batch/)
  })
})
