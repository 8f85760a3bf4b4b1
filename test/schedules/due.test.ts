import { describe, expect, test } from 'vitest'
import { dueTimes } from '../../src/schedules/due.ts'

const at = (clock: string) => new Date(`2027-03-01T${clock}Z`)

function due(cron: string, catchUp: 'skip' | 'once' | 'all', after: Date, now: Date): string[] {
  return dueTimes({ cron, timezone: 'UTC', catchUp }, after, now).map((time) =>
    time.toISOString().slice(11, 16),
  )
}

test('nothing has come before its time, and it comes once', () => {
  expect(due('0 9 * * *', 'once', at('08:00'), at('08:59:59.999'))).toEqual([])
  expect(due('0 9 * * *', 'once', at('08:59:59.999'), at('09:00'))).toEqual(['09:00'])
  expect(due('0 9 * * *', 'once', at('09:00'), at('10:00'))).toEqual([])
})

test('a clock that goes back finds nothing', () => {
  expect(due('* * * * *', 'all', at('09:00'), at('08:00'))).toEqual([])
})

test.each(['skip', 'once', 'all'] as const)('what is late by two minutes was not missed: %s', (catchUp) => {
  expect(due('* * * * *', catchUp, at('09:00:30'), at('09:02:59'))).toEqual(['09:01', '09:02'])
})

describe('after six hours of silence, an hourly schedule', () => {
  test.each([
    ['skip', []],
    ['once', ['14:30']],
    ['all', ['09:30', '10:30', '11:30', '12:30', '13:30', '14:30']],
  ] as const)('%s', (catchUp, times) => {
    expect(due('30 * * * *', catchUp, at('09:00'), at('15:00'))).toEqual(times)
  })
})

test('a time that has just come stands for those that were missed', () => {
  expect(due('0 * * * *', 'once', at('09:30'), at('15:00:01'))).toEqual(['15:00'])
  expect(due('0 * * * *', 'skip', at('09:30'), at('15:00:01'))).toEqual(['15:00'])
})

test('no more than the last hundred are made up for', () => {
  const times = due('* * * * *', 'all', at('00:00'), at('20:00'))
  expect(times).toHaveLength(100)
  expect(times[0]).toBe('18:21')
  expect(times.at(-1)).toBe('20:00')
})
