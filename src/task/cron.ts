// Cron text and the times it means. The reading is croner's, whose rules for daylight saving time are Vixie cron's:
//
//   - fixed times (no `*` and no step in minute or hour: `30 2 * * *`) come once on every day. One that the clock jumps
//     over in spring comes at the first moment after the gap; of one that it shows twice in autumn, the first counts.
//   - intervals (`0 * * * *`, `*/15 * * * *`) come in real time: none in the gap, both in the repeated hour.
import { Cron, type CronOptions, CronPattern } from 'croner'

const reading = { mode: '5-part', fixedTimeRule: 'no-wildcard' } as const satisfies CronOptions

const longestText = 200

/** Minute, hour, day of month, month, day of week, as it is stored: single spaces. Null: no such text, or it never comes. */
export function readCron(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > longestText) return null
  const cron = value.trim().replace(/\s+/g, ' ')
  try {
    return new Cron(cron, { ...reading, timezone: 'UTC' }).nextRun() ? cron : null
  } catch {
    return null
  }
}

/** Whether it names times of the day, and no interval. */
export function hasFixedTimes(cron: string): boolean {
  return new CronPattern(cron, undefined, reading).isFixedTime
}

/** The first `count` times after a moment; fewer where there are no more. */
export function timesAfter(cron: string, timezone: string, after: Date, count: number): Date[] {
  return new Cron(cron, { ...reading, timezone }).nextRuns(count, after)
}

/** The last times up to and with a moment, at most so many, the oldest first. */
export function lastTimes(cron: string, timezone: string, until: Date, atMost: number): Date[] {
  const exclusive = new Date(until.getTime() + 1)
  return new Cron(cron, { ...reading, timezone }).previousRuns(atMost, exclusive).reverse()
}
