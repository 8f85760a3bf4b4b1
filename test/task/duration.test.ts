import { expect, test } from 'vitest'
import { InvalidTaskError, SnoozeError } from '../../src/errors.ts'
import { parseDuration } from '../../src/task/duration.ts'
import { snooze } from '../../src/task/snooze.ts'

test.each([
  ['30s', 30_000],
  ['2m', 120_000],
  ['1.5h', 5_400_000],
  ['7d', 604_800_000],
  [250, 250],
  [0, 0],
  [1.6, 2],
])('%j is %d ms', (duration, ms) => {
  expect(parseDuration(duration)).toBe(ms)
})

test.each([
  'soon',
  '',
  '5 parsecs',
  '-1s',
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  null,
  {},
  'x'.repeat(200),
])('%j is no duration', (duration) => {
  expect(parseDuration(duration)).toBeNull()
})

test('bounds belong to the range', () => {
  expect(parseDuration(5, 5, 10)).toBe(5)
  expect(parseDuration(10, 5, 10)).toBe(10)
  expect(parseDuration(11, 5, 10)).toBeNull()
})

test('snooze throws what brings the run back, or says that it cannot', () => {
  expect(() => snooze('30s')).toThrow(SnoozeError)
  expect(() => snooze('30s')).toThrow(expect.objectContaining({ delayMs: 30_000, code: 'SNOOZED' }))
  expect(() => snooze('2y')).toThrow(InvalidTaskError)
  expect(() => snooze('later' as never)).toThrow(InvalidTaskError)
})
