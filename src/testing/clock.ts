/** The clock of an inline test platform: it stands still until the test moves it, so nothing depends on how fast it is. */
import type { Clock } from '../engines/clock.ts'
import { type Duration, parseDuration } from '../task/duration.ts'

export class TestClock implements Clock {
  readonly #alarms = new Set<{ time: number; ring: () => void }>()
  #now: number

  /** Starts at the present. */
  constructor(start: Date = new Date()) {
    this.#now = start.getTime()
  }

  now(): Date {
    return new Date(this.#now)
  }

  /** Moves it on by '1h', '30s' or milliseconds; what becomes due by it may start. */
  advance(duration: Duration): void {
    this.#now += readAdvance(duration)
    for (const alarm of this.#alarms) if (alarm.time <= this.#now) alarm.ring()
  }

  alarm(time: number, ring: () => void): () => void {
    const alarm = { time, ring }
    this.#alarms.add(alarm)
    return () => this.#alarms.delete(alarm)
  }
}

export function readAdvance(duration: Duration): number {
  const ms = parseDuration(duration)
  if (ms === null)
    throw new TypeError("advance takes a duration like '1h', or milliseconds; time does not run backwards.")
  return ms
}
