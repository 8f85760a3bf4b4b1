import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { masked, maskOutput, maskPayload } from '../../src/runs/mask.ts'
import type { JsonValue } from '../../src/task/json.ts'
import { tenantPayload } from '../../src/task/payload.ts'

const pii = z.string().meta({ pii: true })
const secret = z.string().meta({ secret: true })

function maskField(field: z.ZodType, value: JsonValue): JsonValue {
  const shown = maskPayload(tenantPayload({ field }), { tenantId: 'rawdog', field: value })
  expect(shown).toMatchObject({ tenantId: 'rawdog' })
  return (shown as { field: JsonValue }).field
}

describe('what the schema marks is masked', () => {
  interface Tree {
    name: string
    children: Tree[]
  }
  const tree: z.ZodType<Tree> = z.object({ name: pii, children: z.array(z.lazy(() => tree)) })

  test.each<[string, z.ZodType, JsonValue, JsonValue]>([
    ['a field', pii, 'Ada', masked],
    ['a secret', secret, 'sk_1', masked],
    ['with a rule behind the mark', pii.min(2), 'Ada', masked],
    ['a number', z.number().meta({ pii: true }), 5, masked],
    ['an object as a whole', z.object({ a: z.string() }).meta({ pii: true }), { a: 'x' }, masked],
    [
      'nested',
      z.object({ name: pii, size: z.string() }),
      { name: 'Ada', size: 'M' },
      { name: masked, size: 'M' },
    ],
    ['in a list', z.array(pii), ['a', 'b'], [masked, masked]],
    ['in a tuple', z.tuple([z.string(), pii]), ['a', 'b'], ['a', masked]],
    ['in the rest of a tuple', z.tuple([z.string()], pii), ['a', 'b', 'c'], ['a', masked, masked]],
    ['in a record', z.record(z.string(), pii), { a: 'x' }, { a: masked }],
    ['a record whose keys are marked', z.record(pii, z.number()), { 'ada@example.com': 1 }, masked],
    ['behind optional', pii.optional(), 'Ada', masked],
    ['behind nullable', pii.nullable(), 'Ada', masked],
    ['behind a default', pii.default('x'), 'Ada', masked],
    ['behind a prefault', pii.prefault('x'), 'Ada', masked],
    ['behind readonly and catch', pii.readonly().catch('x'), 'Ada', masked],
    ['an optional object', z.object({ name: pii }).optional(), { name: 'Ada' }, { name: masked }],
    ['before a transform', pii.transform((text) => text.length), 'Ada', masked],
    ['behind a preprocess', z.preprocess((text) => text, pii), 'Ada', masked],
    ['in one form of a union', z.union([z.number(), pii]), 'Ada', masked],
    [
      'in the form that fits',
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('person'), name: pii }),
        z.object({ kind: z.literal('shop'), address: z.string() }),
      ]),
      { kind: 'person', name: 'Ada', address: 'here' },
      { kind: 'person', name: masked, address: 'here' },
    ],
    [
      'in either part of an intersection',
      z.intersection(z.object({ a: pii }), z.object({ b: z.string() })),
      { a: 'x', b: 'y' },
      { a: masked, b: 'y' },
    ],
    [
      'as deep as it goes',
      tree,
      { name: 'a', children: [{ name: 'b', children: [] }] },
      { name: masked, children: [{ name: masked, children: [] }] },
    ],
    ['behind catchall', z.object({}).catchall(pii), { any: 'x' }, { any: masked }],
  ])('%s', (_, field, value, shown) => {
    expect(maskField(field, value)).toEqual(shown)
  })
})

describe('what it does not mark is shown', () => {
  test.each<[string, z.ZodType, JsonValue]>([
    ['a text', z.string(), 'x'],
    ['anything', z.unknown(), { deep: ['x'] }],
    ['JSON', z.json(), { deep: ['x', 1, null] }],
    ['null, which says nothing', pii.nullable(), null],
    ['another mark', z.string().meta({ title: 'T', pii: false }), 'x'],
  ])('%s', (_, field, value) => {
    expect(maskField(field, value)).toEqual(value)
  })
})

test('what the schema does not know is masked', () => {
  expect(maskField(z.object({ a: z.string() }), { a: 'x', b: 'y' })).toEqual({ a: 'x', b: masked })
  expect(maskField(z.object({ a: z.string() }), 'not the object it should be')).toBe(masked)
  expect(maskField(z.string(), { unexpected: 'Ada' })).toEqual({ unexpected: masked })
  expect(maskPayload(tenantPayload({}), { tenantId: 'rawdog', __proto__: null, toString: 'x' })).toEqual({
    tenantId: 'rawdog',
    toString: masked,
  })
})

test('without a schema only the tenant is shown', () => {
  expect(maskPayload(null, { tenantId: 'rawdog', name: 'Ada', none: null })).toEqual({
    tenantId: 'rawdog',
    name: masked,
    none: masked,
  })
  expect(maskPayload(null, 'text')).toBe(masked)
  expect(maskPayload(null, null)).toBeNull()
})

test('an output has no schema', () => {
  expect(maskOutput({ name: 'Ada' })).toBe(masked)
  expect(maskOutput(null)).toBeNull()
})
