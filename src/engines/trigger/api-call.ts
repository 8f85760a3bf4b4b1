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
  /** Where a try may have been done, or may still be on its way, none follows. */
  neverTwice?: true
}

/** A limit that is over for all at the same moment would be met by all at the same moment. */
const spreadMs = 250

/** @throws TriggerUnavailableError, TriggerRefusedError, RateLimitedError, ConfigError */
export async function callPatiently<T>(call: Call<T>, patience: Patience): Promise<T> {
  const until = performance.now() + patience.patienceMs
  let answer = await tryOnce(call, patience.timeoutMs)
  let mayBeDone = false
  for (const pauseMs of patience.pausesMs) {
    if ('done' in answer || !answer.again || (call.neverTwice && answer.mayBeDone)) break
    const { waitMs } = answer
    const nextInMs = waitMs === null ? pauseMs : Math.max(pauseMs, waitMs + Math.random() * spreadMs)
    if (performance.now() + nextInMs > until) break
    await sleep(nextInMs)
    mayBeDone ||= answer.mayBeDone
    answer = mayBeDone
      ? await lookOrTry(call, patience.timeoutMs, answer)
      : await tryOnce(call, patience.timeoutMs)
  }
  if ('done' in answer) return answer.done
  throw answer.error
}

type Answer<T> = { done: T } | ApiFailure

async function lookOrTry<T>(call: Call<T>, timeoutMs: number, before: ApiFailure): Promise<Answer<T>> {
  try {
    const found = (await call.lookFor?.()) ?? null
    if (found !== null) return { done: found }
  } catch (thrown) {
    // Not known is not nothing. What the caller asked for is what he is told about.
    return { ...readApiFailure(thrown, call.what), error: before.error }
  }
  return await tryOnce(call, timeoutMs)
}

async function tryOnce<T>({ what, ask }: Call<T>, timeoutMs: number): Promise<Answer<T>> {
  let isOver = false
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<ApiFailure>((resolve) => {
    timer = setTimeout(() => resolve(noAnswer(what, timeoutMs)), timeoutMs)
  })
  try {
    return await Promise.race([Promise.resolve(ask(() => isOver)).then((done) => ({ done })), over])
  } catch (thrown) {
    return readApiFailure(thrown, what)
  } finally {
    isOver = true
    clearTimeout(timer)
  }
}
