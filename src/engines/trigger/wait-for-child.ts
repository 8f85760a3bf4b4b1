/**
 * A run that waits for its child: in place for a few seconds, and then by Trigger.dev's own wait, in which Trigger.dev may
 * freeze the process and give the place of the run to others, the child among them. What became of the child is read as
 * everywhere; Trigger.dev's wait only tells when to look.
 */
import { tasks } from '@trigger.dev/sdk'
import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import { WaitTimeoutError } from '../../errors.ts'
import type { Dispatcher } from '../../task/dispatcher.ts'
import type { Run } from '../../task/run.ts'
import { type StandIn, standInFor } from './stand-in.ts'
import type { WaitTurn } from './wait-turn.ts'

/** The attempt that waits, and what it needs for it. */
export interface WaitingAttempt {
  turn: WaitTurn
  /** How long a child is waited for in place. */
  inPlaceMs: number
  database: Database
  logger: Logger
}

interface WaitLimits {
  timeoutMs: number
  signal?: AbortSignal
}

/** A run may trigger very many, and waits for the one it has just triggered. */
const rememberedChildren = 10_000
/**
 * A process that may be frozen holds no connection which nobody uses. Not once only: the last look may still be on its
 * way when the wait begins. The platform itself stays open, for the run may be doing other things beside its waiting.
 */
const closeIdleEveryMs = 250
/** A process that was frozen for longer than it meant to wait finds its child finished, if it looks. */
const lastLookMs = 1_000

/** The platform's dispatcher as one execution has it. Runs that were triggered elsewhere are polled as ever. */
export function waitingOutside(dispatcher: Dispatcher, attempt: WaitingAttempt): Dispatcher {
  const children = new LRUCache<string, StandIn>({ max: rememberedChildren })
  return {
    ...dispatcher,
    async enqueue(requests) {
      const handles = await dispatcher.enqueue(requests)
      for (const [index, request] of requests.entries()) children.set(handles[index]!.id, standInFor(request))
      return handles
    },
    async waitFor(runId, limits) {
      const standIn = children.get(runId)
      const isShort = limits.timeoutMs <= attempt.inPlaceMs
      if (!standIn || isShort) return await dispatcher.waitFor(runId, limits)
      return await new ChildWait(dispatcher, attempt, runId, standIn, limits).wait()
    },
  }
}

class ChildWait {
  readonly #dispatcher: Dispatcher
  readonly #attempt: WaitingAttempt
  readonly #runId: string
  readonly #standIn: StandIn
  readonly #limits: WaitLimits
  readonly #until: number

  constructor(
    dispatcher: Dispatcher,
    attempt: WaitingAttempt,
    runId: string,
    standIn: StandIn,
    limits: WaitLimits,
  ) {
    this.#dispatcher = dispatcher
    this.#attempt = attempt
    this.#runId = runId
    this.#standIn = standIn
    this.#limits = limits
    this.#until = Date.now() + limits.timeoutMs
  }

  /** The child in its final state. @throws WaitTimeoutError, UnknownRunError, or the reason of the signal. */
  async wait(): Promise<Run> {
    const finished = (await this.#poll(this.#attempt.inPlaceMs)) ?? (await this.#waitForTurn())
    if (finished) return finished
    throw new WaitTimeoutError(this.#runId, this.#limits.timeoutMs)
  }

  get #leftMs(): number {
    return Math.max(0, this.#until - Date.now())
  }

  async #waitForTurn(): Promise<Run | null> {
    while (this.#leftMs > 0) {
      const outside = this.#attempt.turn.begin(() => this.#askToWait())
      if (outside) return await this.#goOnAfter(outside)
      const finished = await this.#pollUntilFree()
      if (finished) return finished
    }
    return null
  }

  #askToWait(): PromiseLike<unknown> {
    const { id, payload, options } = this.#standIn
    return tasks.triggerAndWait(id, payload, options)
  }

  /** It is asked once for each wait: where Trigger.dev could not wait, or waited for a stand-in, the rest is polled. */
  async #goOnAfter(outside: Promise<unknown>): Promise<Run | null> {
    const { database, logger } = this.#attempt
    const closing = setInterval(() => void database.closeIdle(), closeIdleEveryMs)
    try {
      await atMost(outside, this.#leftMs, this.#limits.signal)
    } catch (error) {
      logger.warn(
        { err: error, child: this.#runId },
        'Trigger.dev did not wait for a child; the run polls it',
      )
    } finally {
      clearInterval(closing)
    }
    return await this.#poll(Math.max(this.#leftMs, lastLookMs))
  }

  async #pollUntilFree(): Promise<Run | null> {
    const stop = new AbortController()
    void this.#attempt.turn.free().then(() => stop.abort(turnIsFree))
    const { signal } = this.#limits
    try {
      return await this.#poll(this.#leftMs, signal ? AbortSignal.any([signal, stop.signal]) : stop.signal)
    } catch (error) {
      if (error === turnIsFree) return null
      throw error
    }
  }

  /** Null: it has not ended in this time. */
  async #poll(timeoutMs: number, signal = this.#limits.signal): Promise<Run | null> {
    try {
      return await this.#dispatcher.waitFor(this.#runId, { timeoutMs, ...(signal && { signal }) })
    } catch (error) {
      if (error instanceof WaitTimeoutError) return null
      throw error
    }
  }
}

const turnIsFree = Symbol('the turn is free')

/** Settles as `wait` does; earlier, without a word, when the time is up or the signal aborts. */
async function atMost(wait: Promise<unknown>, ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise: enough, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1))
  const onAbort = () => resolve()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([wait, enough])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
