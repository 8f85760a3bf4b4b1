import { ConfigError } from '../errors.ts'

/**
 * An IANA name (Europe/Berlin, UTC). Offsets such as +02:00 are refused, although Intl knows them: Postgres reads the
 * sign the other way round, and they ignore daylight saving time.
 */
export function isTimezone(value: unknown): value is string {
  if (typeof value !== 'string' || !/^[A-Za-z]/.test(value)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: value })
    return true
  } catch {
    return false
  }
}

export function parseTimezone(value: string): string {
  if (isTimezone(value)) return value
  throw new ConfigError(
    `${JSON.stringify(value)} is not a time zone. Use an IANA name, for example Europe/Berlin or UTC.`,
  )
}
