import { InvalidTaskError, SnoozeError } from '../errors.ts'
import { type Duration, parseDuration } from './duration.ts'

/**
 * Ends this attempt; the run comes back after `duration`, and no attempt is spent. For work that waits on somebody
 * else: a snoozing run holds no worker and no connection.
 */
export function snooze(duration: Duration): never {
  const delayMs = parseDuration(duration, 0, 365 * 86_400_000)
  if (delayMs === null) throw new InvalidTaskError("snooze takes a duration up to a year, for example '30s'.")
  throw new SnoozeError(delayMs)
}
