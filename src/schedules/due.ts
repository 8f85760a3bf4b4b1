/** Which nominal times of a cron text have come since it was looked at last, after what was missed has been decided. */
import { lastTimes, timesAfter } from '../task/cron.ts'
import type { ScheduleRule } from '../task/schedule.ts'

/** A time that comes this late was not missed: a worker was restarted, or the database was slow. */
const lateMs = 120_000
/** What `catchUp: 'all'` makes up for at most, for each cron text and time zone. */
const mostTimes = 100

export interface Rhythm {
  cron: string
  /** IANA name. */
  timezone: string
  catchUp: ScheduleRule['catchUp']
}

/** After `after`, up to and with `now`, oldest first. */
export function dueTimes({ cron, timezone, catchUp }: Rhythm, after: Date, now: Date): Date[] {
  const [first] = timesAfter(cron, timezone, after, 1)
  if (!first || first > now) return []
  const times = lastTimes(cron, timezone, now, mostTimes).filter((time) => time > after)
  if (catchUp === 'all') return times
  const inTime = times.filter((time) => now.getTime() - time.getTime() <= lateMs)
  return inTime.length > 0 || catchUp === 'skip' ? inTime : times.slice(-1)
}
