/** The two days of the year on which clocks are put forward and back, in zones that do it differently. */
import { describe, expect, test } from 'vitest'
import { hasFixedTimes, lastTimes, readCron, timesAfter } from '../../src/task/cron.ts'

/** Times as `HH:MMZ` between two moments, forwards; and the same backwards. */
function times(cron: string, zone: string, from: string, to: string): string[] {
  const after = new Date(Date.parse(from) - 1)
  const until = new Date(to)
  const forwards = timesAfter(cron, zone, after, 200).filter((time) => time <= until)
  const backwards = lastTimes(cron, zone, until, 200).filter((time) => time > after)
  expect(backwards).toEqual(forwards)
  return forwards.map((time) => time.toISOString().slice(5, 16))
}

describe('Europe/Berlin', () => {
  const [spring, autumn] = [
    ['2027-03-27T12:00Z', '2027-03-29T12:00Z'],
    ['2027-10-30T12:00Z', '2027-11-01T12:00Z'],
  ] as const
  test('a daily time that the clock jumps over comes right after the gap', () => {
    expect(times('30 2 * * *', 'Europe/Berlin', ...spring)).toEqual(['03-28T01:00', '03-29T00:30'])
  })
  test('a daily time that the clock shows twice comes once, the first time', () => {
    expect(times('30 2 * * *', 'Europe/Berlin', ...autumn)).toEqual(['10-31T00:30', '11-01T01:30'])
  })
  test('several times of a day are fixed times as well', () => {
    expect(times('0 2,14 * * *', 'Europe/Berlin', ...autumn)).toEqual([
      '10-30T12:00',
      '10-31T00:00',
      '10-31T13:00',
      '11-01T01:00',
    ])
  })
  test('two fixed times that meet after the gap are one', () => {
    expect(times('0 2,3 * * *', 'Europe/Berlin', '2027-03-28T00:00Z', '2027-03-28T12:00Z')).toEqual([
      '03-28T01:00',
    ])
  })
  test('every hour is every hour of real time, on both days', () => {
    expect(times('0 * * * *', 'Europe/Berlin', '2027-03-28T00:00Z', '2027-03-28T03:00Z')).toHaveLength(4)
    expect(times('0 * * * *', 'Europe/Berlin', '2027-10-30T23:00Z', '2027-10-31T03:00Z')).toHaveLength(5)
  })
  test('every quarter of an hour, too', () => {
    expect(times('*/15 * * * *', 'Europe/Berlin', '2027-03-28T00:00Z', '2027-03-28T03:00Z')).toHaveLength(13)
    expect(times('*/15 * * * *', 'Europe/Berlin', '2027-10-31T00:00Z', '2027-10-31T03:00Z')).toHaveLength(13)
  })
})

describe('America/New_York', () => {
  test('in spring', () => {
    expect(times('30 2 * * *', 'America/New_York', '2027-03-13T12:00Z', '2027-03-15T12:00Z')).toEqual([
      '03-14T07:00',
      '03-15T06:30',
    ])
  })
  test('in autumn', () => {
    expect(times('30 1 * * *', 'America/New_York', '2027-11-06T12:00Z', '2027-11-08T12:00Z')).toEqual([
      '11-07T05:30',
      '11-08T06:30',
    ])
    expect(times('30 * * * *', 'America/New_York', '2027-11-07T05:00Z', '2027-11-07T08:00Z')).toEqual([
      '11-07T05:30',
      '11-07T06:30',
      '11-07T07:30',
    ])
  })
})

describe('Australia/Lord_Howe, by half an hour', () => {
  test('in spring 02:00 becomes 02:30', () => {
    expect(times('15 2 * * *', 'Australia/Lord_Howe', '2027-10-02T00:00Z', '2027-10-03T20:00Z')).toEqual([
      '10-02T15:30',
      '10-03T15:15',
    ])
    expect(
      times('*/15 * * * *', 'Australia/Lord_Howe', '2027-10-02T15:00Z', '2027-10-02T16:00Z'),
    ).toHaveLength(5)
  })
  test('in autumn 02:00 becomes 01:30', () => {
    expect(times('45 1 * * *', 'Australia/Lord_Howe', '2027-04-03T00:00Z', '2027-04-04T20:00Z')).toEqual([
      '04-03T14:45',
      '04-04T15:15',
    ])
    expect(
      times('*/15 * * * *', 'Australia/Lord_Howe', '2027-04-03T14:00Z', '2027-04-03T16:00Z'),
    ).toHaveLength(9)
  })
})

test('a zone without summer time has no such days', () => {
  expect(times('30 2 * * *', 'Asia/Tokyo', '2027-03-27T00:00Z', '2027-03-30T00:00Z')).toHaveLength(3)
  expect(times('0 * * * *', 'Asia/Kolkata', '2027-10-31T00:00Z', '2027-10-31T12:00Z')).toHaveLength(12)
})

describe('cron text', () => {
  test.each([
    ['  30  2 * *\t* ', '30 2 * * *'],
    ['0 9 * * MON-FRI', '0 9 * * MON-FRI'],
    ['0 0 29 2 *', '0 0 29 2 *'],
    ['0 0 L * *', '0 0 L * *'],
  ])('%j is %j', (text, cron) => {
    expect(readCron(text)).toBe(cron)
  })

  test.each([
    '',
    '* * * *',
    '* * * * * *',
    '61 * * * *',
    '5-2 * * * *',
    'soon',
    '0 0 31 2 *',
    5,
    null,
    'x'.repeat(500),
  ])('%j is none, or never comes', (text) => {
    expect(readCron(text)).toBeNull()
  })

  test.each([
    ['30 2 * * *', true],
    ['0 9,17 * * 1-5', true],
    ['0 * * * *', false],
    ['*/15 2 * * *', false],
    ['0 0-23/2 * * *', false],
  ])('%s names times of the day: %s', (cron, fixed) => {
    expect(hasFixedTimes(cron)).toBe(fixed)
  })
})
