/** Durations as people write them: '30s', '2m', '7d', or a number of milliseconds. */
import ms, { type StringValue } from 'ms'

export type Duration = StringValue | number

/** Milliseconds, or null when `value` is no duration of at least `min` and at most `max` milliseconds. */
export function parseDuration(value: unknown, min = 0, max = Number.MAX_SAFE_INTEGER): number | null {
  const parsed =
    typeof value === 'string' && value !== '' && value.length <= 100 ? ms(value as StringValue) : value
  if (typeof parsed !== 'number' || !Number.isFinite(parsed)) return null
  const whole = Math.round(parsed)
  return whole >= min && whole <= max ? whole : null
}
