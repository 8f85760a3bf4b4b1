/**
 * What the runs of this process write: kept in memory for a moment and stored for all of them together, so that no line
 * costs a round trip. A run ends when its last lines are stored, so who sees its end sees them all; a worker that is
 * killed takes those of the last quarter of a second with it.
 *
 * Postgres may be away: then the newest lines wait in memory, and runs do not wait for them any longer than a moment.
 */
import { randomUUID } from 'node:crypto'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Database } from '../../db/database.ts'
import { leaveScopes } from '../../db/scope.ts'
import { MissingTenantContextError } from '../../errors.ts'
import type { JournaledRun, RunJournal } from '../../task/journal.ts'
import { LineBuffer, type Written } from './buffer.ts'
import { shortenLine } from './line.ts'
import { storeProgress, type ToldProgress } from './progress.ts'
import { storeLines } from './store-lines.ts'

const flushEveryMs = 250
/** How long the end of a run, or of the process, waits for a Postgres that does not answer. */
const patienceMs = 2_000
const retryMs = { first: 100, longest: 5_000 }

export interface JournalOptions {
  url: string
  logger: Logger
}

export class Journal {
  /** Its own connection: what waited behind the statements of tasks would keep the runs that wrote it from ending. */
  readonly #database: Database
  readonly #logger: Logger
  readonly #lines = new LineBuffer()
  #progress = new Map<string, ToldProgress>()
  #timer: NodeJS.Timeout | undefined
  #storing: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null
  #closing = false

  constructor({ url, logger }: JournalOptions) {
    this.#logger = logger
    this.#database = new Database({
      url,
      poolSize: 1,
      applicationName: 'cgk journal',
      admit: () => Promise.reject(new MissingTenantContextError('The journal')),
      onIdleError: (error) => logger.warn({ err: error }, 'An idle journal connection broke; it is replaced'),
    })
  }

  open(run: JournaledRun): RunJournal {
    let waits = false
    const wrote = () => {
      waits = true
      this.#flushSoon()
    }
    return {
      line: (level, json) => {
        if (this.#closing) return
        this.#lines.add(run, level, new Date(), shortenLine(json))
        wrote()
      },
      progress: (progress) => {
        if (this.#closing) return
        this.#progress.set(run.runId, { run, progress, at: new Date() })
        wrote()
      },
      flushed: async () => {
        if (!waits) return
        waits = false
        await within(patienceMs, this.#flush())
      },
    }
  }

  /** Stores what waits, unless Postgres is away. Whoever writes later is not heard. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#timer)
    await within(patienceMs, this.#flush())
    await this.#database.close()
  }

  #flushSoon(): void {
    this.#timer ??= leaveScopes(() => setTimeout(() => void this.#flush(), flushEveryMs))
  }

  /** Answers when all that was written before is stored. Who asks while a flush is under way shares the next one. */
  #flush(): Promise<void> {
    this.#next ??= this.#storing.then(async () => {
      // What ends in the same turn of the event loop is stored together.
      await setImmediate()
      clearTimeout(this.#timer)
      this.#timer = undefined
      this.#next = null
      this.#storing = this.#storeAll()
      await this.#storing
    })
    return this.#next
  }

  async #storeAll(): Promise<void> {
    for (const batch of this.#lines.takeAll()) await this.#storeBatch(batch)
    if (this.#progress.size === 0) return
    const told = [...this.#progress.values()]
    this.#progress = new Map()
    await this.#surely(() => storeProgress(this.#database, told))
  }

  async #storeBatch(batch: readonly Written[]): Promise<void> {
    const flush = randomUUID()
    if (await this.#surely(() => storeLines(this.#database, batch, flush))) return
    // That they were there is to be seen all the same.
    const without = batch.map((written) => ({ ...written, lines: [] }))
    await this.#surely(() => storeLines(this.#database, without, flush))
  }

  /** False: Postgres refuses it, or the process ends before it can be stored. */
  async #surely(store: () => Promise<void>): Promise<boolean> {
    for (let failures = 0; ; failures += 1) {
      try {
        await store()
        return true
      } catch (error) {
        if (failures === 0) this.#logger.warn({ err: error }, 'What runs wrote could not be stored')
        if (this.#closing || isRefusal(error)) return false
        await sleep(Math.min(retryMs.longest, retryMs.first * 2 ** failures), null, { ref: false })
      }
    }
  }
}

/** Data that Postgres does not take, or a table that it does not have: trying the same again cannot help. */
function isRefusal(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^(22|23|42|54)/.test(code)
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([work, over])
  clearTimeout(timer)
}
