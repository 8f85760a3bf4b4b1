/**
 * Waiting for runs to end. Who waits in a process asks together, often at first and less often later; a run that ends in
 * this process is noticed at once.
 */

import { ConfigError, TriggerRefusedError, UnknownRunError, WaitTimeoutError } from '../errors.ts'
import { isFinal, type Run } from '../task/run.ts'

export interface WaitForOptions {
  timeoutMs: number
  signal?: AbortSignal
  /** Runs of other tenants do not exist. */
  tenantId?: string | null
}

export interface RunWaiterOptions {
  /** How often the same run is asked for at most, in milliseconds. */
  longestPauseMs?: number | undefined
  /** Whether each run is read by itself: where reading one is a request of its own, it may fail or be slow alone. */
  apart?: boolean
}

interface Waiting {
  tenantId: string | null
  /** Why the run could not be read the last time. */
  problem: unknown
  resolve(run: Run): void
  reject(error: unknown): void
}

const firstPauseMs = 20
const usualPauseMs = 500

export class RunWaiter {
  readonly #read: (runIds: readonly string[]) => Promise<Run[]>
  readonly #longestPauseMs: number
  readonly #apart: boolean
  readonly #waiting = new Map<string, Set<Waiting>>()
  /** Asked for, and not answered yet. */
  readonly #asked = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #pauseMs = firstPauseMs

  constructor(
    read: (runIds: readonly string[]) => Promise<Run[]>,
    { longestPauseMs = usualPauseMs, apart = false }: RunWaiterOptions = {},
  ) {
    this.#read = read
    this.#longestPauseMs = longestPauseMs
    this.#apart = apart
  }

  /**
   * The run in its final state. Throws UnknownRunError, WaitTimeoutError, the reason of the signal, and what no waiting
   * mends: ConfigError, TriggerRefusedError.
   */
  async wait(runId: string, { timeoutMs, signal, tenantId = null }: WaitForOptions): Promise<Run> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Run>()
    const one: Waiting = { tenantId, problem: undefined, resolve, reject }
    const onAbort = () => reject(signal?.reason)
    const timer = setTimeout(
      () => reject(new WaitTimeoutError(runId, timeoutMs, one.problem ? { cause: one.problem } : {})),
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
    this.#timer = setTimeout(() => this.#askForAll(), ms)
  }

  #askForAll(): void {
    if (this.#waiting.size === 0) return
    const runIds = [...this.#waiting.keys()].filter((runId) => !this.#asked.has(runId))
    if (this.#apart) for (const runId of runIds) void this.#askFor([runId])
    // One statement at a time, however slow the database is.
    else if (this.#asked.size === 0) void this.#askFor(runIds)
    this.#askIn(this.#pauseMs)
    this.#pauseMs = Math.min(this.#longestPauseMs, this.#pauseMs * 1.5)
  }

  async #askFor(runIds: readonly string[]): Promise<void> {
    for (const runId of runIds) this.#asked.add(runId)
    try {
      const found = new Map((await this.#read(runIds)).map((run) => [run.id, run]))
      for (const runId of runIds) this.#answer(runId, found.get(runId))
    } catch (error) {
      for (const runId of runIds) this.#explain(runId, error)
    } finally {
      for (const runId of runIds) this.#asked.delete(runId)
    }
  }

  #answer(runId: string, run: Run | undefined): void {
    for (const one of this.#waiting.get(runId) ?? []) {
      one.problem = undefined
      const isTheirs = one.tenantId === null || one.tenantId === run?.tenantId
      if (!run || !isTheirs) one.reject(new UnknownRunError(runId))
      else if (isFinal(run.state)) one.resolve(run)
    }
  }

  /** The database or Trigger.dev may be away for a moment; whoever waits has a timeout of their own. */
  #explain(runId: string, error: unknown): void {
    const isLasting = error instanceof ConfigError || error instanceof TriggerRefusedError
    for (const one of this.#waiting.get(runId) ?? []) {
      one.problem = error
      if (isLasting) one.reject(error)
    }
  }
}
