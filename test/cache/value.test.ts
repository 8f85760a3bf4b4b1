import { expect, test } from 'vitest'
import { decodeValue, encodeValue } from '../../src/cache/value.ts'
import { InvalidCacheValueError } from '../../src/errors.ts'

test.each([
  [null],
  [false],
  [0],
  [''],
  ['NUL \0 and \ud800'],
  [[]],
  [{ list: [1, [{ deep: 'é' }]], 'a:b': {} }],
  [JSON.parse('{"__proto__":1}')],
  [Object.assign(Object.create(null), { a: 1 })],
])('%j comes out as it went in', (value) => {
  expect(decodeValue(encodeValue(value))).toEqual(value)
})

test('a property that is undefined is left out', () => {
  expect(encodeValue({ a: undefined, b: 1 })).toBe('{"b":1}')
})

test('the same object twice is no circle', () => {
  const shared = { a: 1 }
  expect(encodeValue([shared, shared, { shared }])).toBe('[{"a":1},{"a":1},{"shared":{"a":1}}]')
})

const circle: Record<string, unknown> = {}
circle.self = { circle }

test.each<[unknown, string]>([
  [undefined, 'the value is undefined'],
  [Number.NaN, 'the value is NaN'],
  [{ a: [1, undefined] }, 'the value.a[1] is undefined'],
  [Array(1), 'the value[0] is undefined'],
  [{ at: new Date(0) }, 'the value.at is a Date'],
  [[new Map()], 'the value[0] is a Map'],
  [new Error('x'), 'the value is an Error'],
  [Buffer.from('x'), 'the value is a Buffer'],
  [{ n: 1n }, 'the value.n is a bigint'],
  [() => 1, 'the value is a function'],
  [{ s: Symbol('x') }, 'the value.s is a symbol'],
  [{ toJSON: () => 1 }, 'the value is an Object'],
  [circle, 'the value.self.circle holds itself'],
  [JSON.parse('['.repeat(300) + ']'.repeat(300)), 'more than 200 levels deep'],
  ['é'.repeat(600_000), 'the value has 1200002 bytes as JSON, and at most 1048576 are kept'],
])('%# is refused, with the place', (value, problem) => {
  expect(() => encodeValue(value)).toThrow(InvalidCacheValueError)
  expect(() => encodeValue(value)).toThrow(problem)
})
