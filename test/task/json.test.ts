/** The hostile values themselves are thrown and returned by real runs in test/engines; here are the bounds. */
import { expect, test } from 'vitest'
import { storableError, storableOutput } from '../../src/task/json.ts'

test('an output up to 256 KiB is kept whole, a larger one is cut and says so', () => {
  const fits = 'x'.repeat(256 * 1024 - 2)
  expect(storableOutput(fits)).toBe(fits)
  expect(storableOutput(`${fits}x`)).toEqual({
    truncated: true,
    bytes: 256 * 1024 + 1,
    start: `"${'x'.repeat(999)}`,
  })
})

test('a cut never leaves half a character', () => {
  const { start } = storableOutput(`x${'😀'.repeat(100_000)}`) as { start: string }
  expect(start.isWellFormed()).toBe(true)
})

test('an output that is deeper or broader than people read is cut there', () => {
  let deep: object = {}
  for (let level = 0; level < 10_000; level += 1) deep = { deep }
  expect(JSON.stringify(storableOutput(deep)).length).toBeLessThan(2_000)
  expect(JSON.stringify(storableOutput(Array(1_000_000).fill(1))).length).toBeLessThan(30_000)
})

test('what JSON has no form for goes, as JSON.stringify has it', () => {
  expect(storableOutput({ a: undefined, b: () => 1, c: Symbol('s'), d: new Map([[1, 2]]), e: 1n })).toEqual({
    d: {},
    e: '1',
  })
  expect(storableOutput(new Date(0))).toBe('1970-01-01T00:00:00.000Z')
})

test('an error keeps its name, code, message and stack, bounded', () => {
  const error = Object.assign(new TypeError('no'), { code: 'E_NO', secret: 's3cret' })
  expect(storableError(error)).toEqual({ name: 'TypeError', code: 'E_NO', message: 'no', stack: error.stack })
  const long = storableError(Object.assign(new Error('x'.repeat(5_000)), { stack: 'y'.repeat(20_000) }))
  expect([long.message.length, long.stack!.length]).toEqual([4_001, 16_001])
})

test('a numeric code becomes text, any other is left out', () => {
  expect(storableError(Object.assign(new Error('a'), { code: 404 })).code).toBe('404')
  expect(storableError(Object.assign(new Error('a'), { code: { no: 1 } })).code).toBeNull()
})

test('an error without a stack', () => {
  expect(storableError(Object.assign(new Error('a'), { stack: undefined })).stack).toBeNull()
})
