/** A moment as the clock in a time zone shows it. */

export interface LocalTime {
  /** `2027-03-28T03:00` */
  clock: string
  /** `+02:00` */
  offset: string
}

const formats = new Map<string, Intl.DateTimeFormat>()

export function localTime(moment: Date, timezone: string): LocalTime {
  let format = formats.get(timezone)
  if (!format) {
    format = new Intl.DateTimeFormat('en', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'longOffset',
    })
    formats.set(timezone, format)
  }
  const parts = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, value]))
  const clock = `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`
  return { clock, offset: parts.timeZoneName!.slice('GMT'.length) || '+00:00' }
}
