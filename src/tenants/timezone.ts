import { ConfigError } from '../errors.ts'

/**
 * An IANA name (Europe/Berlin, UTC). Offsets such as +02:00 are refused, although Intl knows them: Postgres reads the
 * sign the other way round, and they ignore daylight saving time.
 */
export function parseTimezone(value: string): string {
  try {
    if (!/^[A-Za-z]/.test(value)) throw new RangeError(value)
    new Intl.DateTimeFormat('en', { timeZone: value })
    return value
  } catch (error) {
    throw new ConfigError(
      `${JSON.stringify(value)} is not a time zone. Use an IANA name, for example Europe/Berlin or UTC.`,
      { cause: error },
    )
  }
}
