import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { InvalidTaskError } from '../../src/errors.ts'
import { defineTask, isTask } from '../../src/task/define.ts'
import { tenantId, tenantPayload } from '../../src/task/payload.ts'

const payload = tenantPayload({ n: z.number() })
const run = () => null

test('what is not said has a default', () => {
  const task = defineTask({ id: 'orders/process-order', payload, run })
  expect(isTask(task)).toBe(true)
  expect(task).toMatchObject({
    id: 'orders/process-order',
    perTenant: null,
    timeoutMs: 15 * 60_000,
    retry: { maxAttempts: 3, minDelayMs: 1_000, maxDelayMs: 600_000, factor: 2 },
  })
})

test('a task cannot be changed afterwards, nor made by hand', () => {
  const task = defineTask({ id: 'a', payload, run })
  expect(() => Object.assign(task, { id: 'b' })).toThrow(TypeError)
  expect(isTask({ ...task })).toBe(false)
})

describe('ids', () => {
  test.each(['a', 'orders/process-order', 'a/b/c', '3d/render-2'])('%s is one', (id) => {
    expect(defineTask({ id, payload, run }).id).toBe(id)
  })

  const bad = [
    '',
    'A',
    'a/',
    '/a',
    'a//b',
    'a_b',
    'a b',
    'a-',
    '-a',
    'ä',
    'a\n',
    `a${'b'.repeat(100)}`,
    5 as never,
  ]
  test.each(bad)('%j is none', (id) => {
    expect(() => defineTask({ id, payload, run })).toThrow(InvalidTaskError)
  })
})

describe('options that cannot be used are refused with the task and the option in the message', () => {
  const refusals: [name: string, options: object, message: RegExp][] = [
    ['no run', { run: undefined }, /orders\/x has no run/],
    ['no attempts', { retry: { maxAttempts: 0 } }, /maxAttempts of orders\/x/],
    ['half an attempt', { retry: { maxAttempts: 1.5 } }, /maxAttempts/],
    ['too many attempts', { retry: { maxAttempts: 101 } }, /maxAttempts/],
    ['a shrinking delay', { retry: { factor: 0.5 } }, /factor of orders\/x/],
    ['a delay that is none', { retry: { minDelay: 'soon' } }, /minDelay/],
    ['delays the wrong way round', { retry: { minDelay: '1h', maxDelay: '1m' } }, /minDelay/],
    ['a limit of zero', { concurrency: { perTenant: 0 } }, /perTenant of orders\/x/],
    ['a limit that is no number', { concurrency: { perTenant: '4' } }, /perTenant/],
    ['no timeout', { timeout: 0 }, /timeout of orders\/x/],
    ['a timeout over 23 hours', { timeout: '1d' }, /timeout/],
    ['a payload that is no zod object', { payload: z.string() }, /payload of orders\/x must be a zod object/],
    ['no payload', { payload: undefined }, /zod object/],
  ]
  test.each(refusals)('%s', (_name, options, message) => {
    const define = () => defineTask({ id: 'orders/x', payload, run, ...options } as never)
    expect(define).toThrow(InvalidTaskError)
    expect(define).toThrow(message)
  })
})

describe('a schema must require tenantId', () => {
  test('without it: a compile error, and an error', () => {
    // @ts-expect-error The payload schema must require tenantId: string.
    expect(() => defineTask({ id: 'a', payload: z.object({ n: z.number() }), run })).toThrow(
      /has no tenantId/,
    )
  })

  test('optional: the same', () => {
    const optional = z.object({ tenantId: tenantId.optional() })
    // @ts-expect-error The payload schema must require tenantId: string.
    expect(() => defineTask({ id: 'a', payload: optional, run })).toThrow(/must require tenantId/)
  })

  test('with a default: the same', () => {
    const defaulted = z.object({ tenantId: tenantId.default('rawdog') })
    // @ts-expect-error The payload schema must require tenantId: string.
    expect(() => defineTask({ id: 'a', payload: defaulted, run })).toThrow(/must require tenantId/)
  })

  test('of another type: the same', () => {
    const numeric = z.object({ tenantId: z.number() })
    // @ts-expect-error The payload schema must require tenantId: string.
    expect(() => defineTask({ id: 'a', payload: numeric, run })).toThrow(InvalidTaskError)
  })

  test('any zod object that requires it will do', () => {
    const task = defineTask({ id: 'a', payload: z.object({ tenantId: z.string(), n: z.number() }), run })
    expect(task.schema.safeParse({ tenantId: 'a', n: 1, more: 1 }).success).toBe(false)
  })
})

test('run and trigger are typed by the schema', () => {
  const task = defineTask({
    id: 'a',
    payload: tenantPayload({ at: z.string().transform((text) => new Date(text)), n: z.number().default(1) }),
    run: ({ at, n, tenantId: slug }) => ({ year: at.getFullYear(), next: n + 1, slug }),
  })
  const callers = () => [
    task.trigger({ tenantId: 'a', at: '2026-01-01' }),
    // @ts-expect-error tenantId is missing.
    task.trigger({ at: '2026-01-01' }),
    // @ts-expect-error `at` goes in as text.
    task.trigger({ tenantId: 'a', at: new Date() }),
    // @ts-expect-error `extra` is not in the schema.
    task.trigger({ tenantId: 'a', at: '2026-01-01', extra: 1 }),
  ]
  expect(callers).toBeTypeOf('function')
})
