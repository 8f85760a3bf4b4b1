/** The logs of runs, to read and to follow, whatever engine the runs are on. */

import type { Database } from '../../db/database.ts'
import type { Listener } from '../../db/listener.ts'
import { InvalidRunFilterError, UnknownRunError } from '../../errors.ts'
import type { Run } from '../../task/run.ts'
import { isRunId } from '../filter.ts'
import type { RunWaiter } from '../waiter.ts'
import { type RunProgress, readProgress } from './progress.ts'
import { type RunLogLine, type RunLogPage, readLines } from './read-lines.ts'
import { linesChannel } from './store-lines.ts'

export interface ReadLogsOptions {
  /** Only lines behind this one: the `next` of the page before, or the `seq` of a line. */
  after?: number
  /** Lines on a page, 1 to 1000; 200 by default. */
  limit?: number
}

export interface FollowLogsOptions {
  /** Only lines behind the one with this `seq`. */
  after?: number
  /** Ends it, with its reason. */
  signal?: AbortSignal
}

/** Notifications make it faster; without them, this is how late a line comes. */
const lookEveryMs = 1_000
/** What a timer can take: 24 days. */
const longestWaitMs = 2 ** 31 - 1

export interface RunLogsOptions {
  database: Database
  /** Started when somebody follows. */
  listener: Listener
  waiter: RunWaiter
  getRun(runId: string): Promise<Run | null>
}

export class RunLogs {
  readonly #options: RunLogsOptions
  /** Who waits for new lines of a run. */
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor(options: RunLogsOptions) {
    this.#options = options
    options.listener
      .on(linesChannel, (runId) => this.#wake(runId))
      // Whatever was announced before was missed.
      .onConnect(() => {
        for (const runId of this.#waiting.keys()) this.#wake(runId)
      })
  }

  /** @throws UnknownRunError, InvalidRunFilterError */
  async read(runId: string, options: ReadLogsOptions = {}): Promise<RunLogPage> {
    const page = readPage(options)
    const found = await readLines(this.#options.database, await this.#idOf(runId), page)
    if (found.written === 0) await this.#find(runId)
    return found
  }

  /** Null where the run has told of none. @throws UnknownRunError */
  async progress(runId: string): Promise<RunProgress | null> {
    const found = await readProgress(this.#options.database, await this.#idOf(runId))
    if (found === null) await this.#find(runId)
    return found
  }

  /** The lines that are there, then each that comes, until the run has ended. @throws UnknownRunError */
  async *follow(
    runId: string,
    { after = 0, signal }: FollowLogsOptions = {},
  ): AsyncGenerator<RunLogLine, void> {
    const { database, listener, waiter } = this.#options
    const { limit } = readPage({ after })
    const id = await this.#idOf(runId)
    const left = new AbortController()
    const stop = AbortSignal.any(signal ? [signal, left.signal] : [left.signal])
    let hasEnded = false
    const end = waiter.wait(id, { timeoutMs: longestWaitMs, signal: stop }).then(() => {
      hasEnded = true
    })
    // Looked at in the loop, which may be busy with lines when it comes.
    end.catch(() => {})
    listener.start()
    try {
      for (let last = after; ; ) {
        // Both from before the look: what is written meanwhile is then looked for once more.
        const isLast = hasEnded
        const hint = this.#hint(id)
        try {
          const { lines, next } = await readLines(database, id, { after: last, limit })
          yield* lines
          last = lines.at(-1)?.seq ?? last
          if (next !== null) continue
          if (isLast) return
          await Promise.race([hint.heard, end])
        } finally {
          hint.forget()
        }
      }
    } finally {
      left.abort()
    }
  }

  /** Trigger.dev's own name of a run is not what its lines are kept by. */
  async #idOf(runId: string): Promise<string> {
    return isRunId(runId) ? runId.toLowerCase() : (await this.#find(runId)).id
  }

  async #find(runId: string): Promise<Run> {
    const run = await this.#options.getRun(runId)
    if (!run) throw new UnknownRunError(runId)
    return run
  }

  #wake(runId: string): void {
    for (const wake of this.#waiting.get(runId) ?? []) wake()
  }

  /** That there may be new lines, because somebody says so or because it has been a while. */
  #hint(runId: string): { heard: Promise<void>; forget(): void } {
    const { promise: heard, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, lookEveryMs)
    const all = this.#waiting.get(runId) ?? new Set()
    this.#waiting.set(runId, all.add(resolve))
    return {
      heard,
      forget: () => {
        clearTimeout(timer)
        all.delete(resolve)
        if (all.size === 0) this.#waiting.delete(runId)
      },
    }
  }
}

function readPage({ after = 0, limit = 200 }: ReadLogsOptions): { after: number; limit: number } {
  if (!Number.isSafeInteger(after) || after < 0) {
    throw new InvalidRunFilterError('after must be the seq of a line: a whole number from 0 on.')
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
    throw new InvalidRunFilterError('limit must be a whole number from 1 to 1000.')
  }
  return { after, limit }
}
