import { expect, test } from 'vitest'
import { InvalidProgressError } from '../../src/errors.ts'
import { parseProgress } from '../../src/task/progress.ts'

const nothing = { fraction: null, current: null, total: null, message: null }

test.each([
  [0, { ...nothing, fraction: 0 }],
  [0.25, { ...nothing, fraction: 0.25 }],
  [1, { ...nothing, fraction: 1 }],
  ['fetching', { ...nothing, message: 'fetching' }],
  ['a\0\ud800b', { ...nothing, message: 'a��b' }],
  [
    { current: 3, total: 4 },
    { ...nothing, fraction: 0.75, current: 3, total: 4 },
  ],
  [
    { current: 0, total: 0, message: 'done' },
    { fraction: 1, current: 0, total: 0, message: 'done' },
  ],
  [
    { current: 9, total: 4 },
    { ...nothing, fraction: 1, current: 9, total: 4 },
  ],
])('%j is progress', (given, read) => {
  expect(parseProgress(given)).toEqual(read)
})

test('a long text is cut', () => {
  expect(parseProgress('x'.repeat(600)).message).toHaveLength(501)
})

test.each([
  [50, '50 is no share from 0 to 1'],
  [-0.1, '-0.1 is no share'],
  [Number.NaN, 'NaN is no share'],
  [null, 'null is no progress'],
  [undefined, 'undefined is no progress'],
  [true, 'boolean is no progress'],
  [{ current: 1 }, 'current and total must be numbers'],
  [{ current: '1', total: 2 }, 'current and total must be numbers'],
  [{ current: 1, total: Number.POSITIVE_INFINITY }, 'current and total must be numbers'],
  [{ current: 1, total: 2, of: 3 }, 'progress has no "of"'],
  [{ current: 1, total: 2, message: 3 }, 'message must be a text'],
  [[1, 2], 'progress has no "0"'],
])('%j is none', (given, problem) => {
  expect(() => parseProgress(given)).toThrow(InvalidProgressError)
  expect(() => parseProgress(given)).toThrow(problem)
})
