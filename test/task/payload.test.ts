import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { runs, withTenant } from '../../src/default-platform.ts'
import { InvalidPayloadError, TenantMismatchError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

const task = defineTask({
  id: 'payload/any',
  payload: tenantPayload({
    at: z.iso.datetime().optional(),
    any: z.any().optional(),
    trimmed: z
      .string()
      .transform((text) => text.trim())
      .default(' none '),
  }),
  run: (payload) => payload,
})

let kit: TestPlatform
let tenantId: string

beforeAll(async () => {
  kit = await createTestPlatform({ tasks: [task] })
  tenantId = await kit.tenant()
})
afterAll(() => kit.close())

async function issuesOf(payload: unknown): Promise<unknown> {
  const error = await task.trigger(payload as never).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(InvalidPayloadError)
  return (error as InvalidPayloadError).issues
}

function throwing(): object {
  return {
    get any() {
      throw new Error('from the getter')
    },
  }
}

describe('refused before anything is queued, with the place', () => {
  const refused: [name: string, payload: () => unknown, path: string, message: RegExp][] = [
    ['no tenantId', () => ({}), 'tenantId', /expected string/i],
    ['a malformed tenantId', () => ({ tenantId: 'No-Slug' }), 'tenantId', /not a tenant slug/],
    ['a tenantId of 49 characters', () => ({ tenantId: 'a'.repeat(49) }), 'tenantId', /at most 48/],
    ['an unknown key', () => ({ tenantId, more: 1 }), '', /more/],
    ['the wrong type', () => ({ tenantId, trimmed: 1 }), 'trimmed', /expected string/i],
    ['no object', () => 'text', '', /expected object/i],
    ['undefined', () => undefined, '', /./],
    ['null', () => null, '', /./],
    ['a function', () => () => 1, '', /./],
    ['NUL', () => ({ tenantId, any: { deep: ['a\0'] } }), 'any.deep.0', /NUL/],
    ['NUL in a key', () => ({ tenantId, any: { 'k\0': 1 } }), 'any.k\0', /NUL/],
    ['a lone surrogate', () => ({ tenantId, any: '\u{d83d}' }), 'any', /surrogate/],
    ['a BigInt', () => ({ tenantId, any: 10n }), 'any', /BigInt/],
    ['a circle', () => ({ tenantId, any: circle() }), 'any.self', /refers to itself/],
    ['NUL from a toJSON', () => ({ tenantId, any: { toJSON: () => 'a\0' } }), 'any', /NUL/],
    [
      'a lone surrogate from a toJSON',
      () => ({ tenantId, any: { toJSON: () => '\u{d83d}' } }),
      'any',
      /surrogate/,
    ],
    ['a BigInt from a toJSON', () => ({ tenantId, any: { toJSON: () => 1n } }), '', /no JSON form/],
    ['a BigInt in a box', () => ({ tenantId, any: Object(1n) }), '', /no JSON form/],
    ['a getter that throws', () => ({ tenantId, any: throwing() }), '', /no JSON form/],
    ['depth', () => ({ tenantId, any: nested(500) }), expect.anything() as never, /levels deep/],
    ['10 MB', () => ({ tenantId, any: 'x'.repeat(10_000_000) }), '', /larger than 1048576 bytes/],
    ['1 MB of three-byte characters', () => ({ tenantId, any: '€'.repeat(400_000) }), '', /larger than/],
  ]
  test.each(refused)('%s', async (_name, payload, path, message) => {
    expect(await issuesOf(payload())).toEqual([{ path, message: expect.stringMatching(message) }])
    expect((await runs.list()).runs).toEqual([])
  })

  test('every issue is told at once, and the message has no value in it', async () => {
    const error = await task
      .trigger({ tenantId: 'S3cret!', trimmed: 5, at: 'S3cret!' } as never)
      .catch((e) => e)
    expect(error.issues.map(({ path }: { path: string }) => path).sort()).toEqual([
      'at',
      'tenantId',
      'trimmed',
    ])
    expect(error.message).not.toContain('S3cret')
  })

  test('the tenant of another context', async () => {
    const neighbour = await kit.tenant()
    await withTenant(neighbour, async () => {
      await expect(task.trigger({ tenantId, any: 1 })).rejects.toThrow(TenantMismatchError)
    })
    expect((await runs.list()).runs).toEqual([])
  })
})

describe('accepted', () => {
  test('what arrives is what was validated: the payload as JSON', async () => {
    const any = {
      date: new Date(0),
      gone: undefined,
      list: [undefined, Number.NaN],
      shared: { a: 1 },
      twice: {},
    }
    any.twice = any.shared
    const { id } = await task.trigger({ tenantId, any })
    await kit.drain()
    const arrived = {
      date: '1970-01-01T00:00:00.000Z',
      list: [null, null],
      shared: { a: 1 },
      twice: { a: 1 },
    }
    const run = await runs.get(id)
    expect(run.payload).toEqual({ tenantId, any: arrived })
    expect(run.output).toEqual({ tenantId, any: arrived, trimmed: ' none ' })
  })

  test('a transform is applied once, where it runs', async () => {
    const { id } = await task.trigger({ tenantId, any: 1, trimmed: '  x ' })
    await kit.drain()
    const run = await runs.get(id)
    expect(run.payload).toMatchObject({ trimmed: '  x ' })
    expect(run.output).toMatchObject({ trimmed: 'x' })
  })

  test('what the caller does with its object afterwards changes nothing', async () => {
    const any = { list: [1] }
    const triggered = task.trigger({ tenantId, any })
    any.list.push(2)
    const { id } = await triggered
    any.list.push(3)
    const run = await runs.get(id)
    expect((run.payload as { any: unknown }).any).not.toEqual({ list: [1, 2, 3] })
  })

  test('a tenantId may be refined further', async () => {
    const only = defineTask({
      id: 'payload/only',
      payload: z.object({ tenantId: z.enum(['rawdog', 'acme']) }),
      run: () => null,
    })
    await expect(only.trigger({ tenantId: 'other' as never })).rejects.toThrow(InvalidPayloadError)
  })
})

function circle(): object {
  const loop: Record<string, unknown> = {}
  loop.self = loop
  return loop
}

function nested(levels: number): object {
  let inside: object = {}
  for (let level = 0; level < levels; level += 1) inside = { inside }
  return inside
}
