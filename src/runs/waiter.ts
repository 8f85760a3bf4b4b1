/**
 * Waiting for runs to end. All waiting callers of a process share one statement, asked often at first and less often
 * later; a run that ends in this process is noticed at once.
 */

import { UnknownRunError, WaitTimeoutError } from '../errors.ts'
import { isFinal, type Run } from '../task/run.ts'

export interface WaitForOptions {
  timeoutMs: number
  signal?: AbortSignal
}

interface Waiting {
  resolve(run: Run): void
  reject(error: unknown): void
}

const firstPauseMs = 20
const usualPauseMs = 500

export class RunWaiter {
  readonly #read: (runIds: readonly string[]) => Promise<Run[]>
  readonly #longestPauseMs: number
  readonly #waiting = new Map<string, Set<Waiting>>()
  #timer: NodeJS.Timeout | undefined
  #asking = false
  #pauseMs = firstPauseMs

  constructor(read: (runIds: readonly string[]) => Promise<Run[]>, longestPauseMs = usualPauseMs) {
    this.#read = read
    this.#longestPauseMs = longestPauseMs
  }

  /** The run in its final state. Throws UnknownRunError, WaitTimeoutError, or the reason of the signal. */
  async wait(runId: string, { timeoutMs, signal }: WaitForOptions): Promise<Run> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Run>()
    const one: Waiting = { resolve, reject }
    const onAbort = () => reject(signal?.reason)
    const timer = setTimeout(
      () => reject(new WaitTimeoutError(runId, timeoutMs)),
      Math.min(timeoutMs, 2 ** 31 - 1),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#add(runId, one)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      this.#remove(runId, one)
    }
  }

  /** A run of this process was settled. */
  settled(runId: string): void {
    if (this.#waiting.has(runId)) this.#askIn(0)
  }

  close(error: Error): void {
    clearTimeout(this.#timer)
    for (const all of this.#waiting.values()) for (const one of all) one.reject(error)
  }

  #add(runId: string, one: Waiting): void {
    const all = this.#waiting.get(runId) ?? new Set()
    this.#waiting.set(runId, all.add(one))
    this.#pauseMs = firstPauseMs
    this.#askIn(0)
  }

  #remove(runId: string, one: Waiting): void {
    const all = this.#waiting.get(runId)
    all?.delete(one)
    if (all?.size === 0) this.#waiting.delete(runId)
    if (this.#waiting.size === 0) clearTimeout(this.#timer)
  }

  #askIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#ask(), ms)
  }

  async #ask(): Promise<void> {
    if (this.#asking || this.#waiting.size === 0) return
    this.#asking = true
    const asked = [...this.#waiting.keys()]
    try {
      const found = new Map((await this.#read(asked)).map((run) => [run.id, run]))
      for (const runId of asked) this.#answer(runId, found.get(runId))
    } catch {
      // The database may be away for a moment; whoever waits has a timeout of their own.
    } finally {
      this.#asking = false
    }
    if (this.#waiting.size === 0) return
    this.#askIn(this.#pauseMs)
    this.#pauseMs = Math.min(this.#longestPauseMs, this.#pauseMs * 1.5)
  }

  #answer(runId: string, run: Run | undefined): void {
    for (const one of this.#waiting.get(runId) ?? []) {
      if (!run) one.reject(new UnknownRunError(runId))
      else if (isFinal(run.state)) one.resolve(run)
    }
  }
}
