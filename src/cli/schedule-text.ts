/** A schedule as a person reads it. */
import type { ListedSchedule, NextTime } from '../schedules/list.ts'
import type { Column } from './table.ts'

export const scheduleColumns: Column<ListedSchedule>[] = [
  { title: 'schedule', value: ({ id }) => shortId(id) },
  {
    title: 'tenant',
    value: ({ tenantId, origin }) => (tenantId === null ? 'each' : `${tenantId}${marks[origin]}`),
  },
  { title: 'cron', value: ({ cron }) => cron },
  { title: 'time zone', value: ({ timezone }) => (timezone === 'tenant' ? "the tenant's" : timezone) },
]

const marks = { task: '', changed: ' (changed)', extra: ' (extra)' } as const

/** `orders/reconcile:default` is orders/reconcile. */
export function shortId(id: string): string {
  return id.replace(/:default$/, '')
}

/** A line for each of the next times, or one that says why there is none. */
export function nextText({ isPaused, next }: ListedSchedule): string[] {
  if (isPaused) return ['paused']
  return next.length > 0
    ? next.map(timeText)
    : ['never: its tenant is not active, or is in no known time zone']
}

/** `Mon 2027-03-29 02:30 +02:00` */
function timeText({ clock, offset }: NextTime): string {
  const [date = '', time = ''] = clock.split('T')
  const weekday = new Date(`${date}T00:00Z`).toLocaleDateString('en', { weekday: 'short', timeZone: 'UTC' })
  return `${weekday} ${date} ${time} ${offset ?? 'there'}`
}
