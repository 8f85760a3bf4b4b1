/** One call of Trigger.dev's API, made again where that can help and as long as somebody waits for it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type ApiFailure, noAnswer, readApiFailure } from './api-errors.ts'

/** All in milliseconds. */
export interface Patience {
  /** How long one try may take. */
  timeoutMs: number
  /** The pauses between tries; none: it is tried once. */
  pausesMs: readonly number[]
  /** No try begins later than this after the first. */
  patienceMs: number
}

export interface Call<T> {
  /** Completes "could not be reached ...": `to trigger orders/x`. */
  what: string
  /** One try. It begins no request of its own once `isOver`: whoever made it has been told that it failed. */
  ask(isOver: () => boolean): PromiseLike<T>
  /** Asked instead of once more, where a try before may have been done: what it made. Null: nothing that can be seen. */
  lookFor?(): Promise<T | null>
}

/** A limit that is over for all at the same moment would be met by all at the same moment. */
const spreadMs = 250

/** @throws TriggerUnavailableError, TriggerRefusedError, RateLimitedError, ConfigError */
export async function callPatiently<T>(call: Call<T>, patience: Patience): Promise<T> {
  const until = performance.now() + patience.patienceMs
  let mayBeDone = false
  for (let tries = 0; ; tries += 1) {
    const answer: { done: T } | ApiFailure = await tryOnce(call, mayBeDone, patience.timeoutMs)
    if ('done' in answer) return answer.done
    const { error, again, waitMs } = answer
    const pauseMs = patience.pausesMs[tries]
    if (!again || pauseMs === undefined) throw error
    const nextInMs = waitMs === null ? pauseMs : Math.max(pauseMs, waitMs + Math.random() * spreadMs)
    if (performance.now() + nextInMs > until) throw error
    await sleep(nextInMs)
    mayBeDone ||= answer.mayBeDone
  }
}

async function tryOnce<T>(
  { what, ask, lookFor }: Call<T>,
  mayBeDone: boolean,
  timeoutMs: number,
): Promise<{ done: T } | ApiFailure> {
  let isOver = false
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<ApiFailure>((resolve) => {
    timer = setTimeout(() => resolve(noAnswer(what, timeoutMs)), timeoutMs)
  })
  try {
    const found = mayBeDone ? ((await lookFor?.()) ?? null) : null
    if (found !== null) return { done: found }
    return await Promise.race([Promise.resolve(ask(() => isOver)).then((done) => ({ done })), over])
  } catch (thrown) {
    return readApiFailure(thrown, what)
  } finally {
    isOver = true
    clearTimeout(timer)
  }
}
