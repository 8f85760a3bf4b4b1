/** What time it is for what waits in this process. Tests give the inline engine a clock that they move themselves. */
export interface Clock {
  now(): Date
  /** Calls `ring` at `time` (milliseconds since 1970), or a little before: look again. Answers how to call it off. */
  alarm(time: number, ring: () => void): () => void
}

const longestTimeoutMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => new Date(),
  alarm(time, ring) {
    const timer = setTimeout(ring, Math.min(Math.max(0, time - Date.now()), longestTimeoutMs))
    return () => clearTimeout(timer)
  },
}
