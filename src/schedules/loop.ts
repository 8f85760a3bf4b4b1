/** Ticks for as long as a worker works: at the start of every minute, and now and then for what others left open. */
import type { Logger } from 'pino'
import type { Clock } from '../engines/clock.ts'
import type { Ticker } from './ticker.ts'

export interface LoopOptions {
  ticker: Ticker
  /** What time passes by. */
  clock: Clock
  logger: Logger
}

const afterFailureMs = 2_000

export class ScheduleLoop {
  readonly #options: LoopOptions
  readonly #stop = new AbortController()
  readonly #running: Promise<void>

  constructor(options: LoopOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Answers when the batch that is under way is handed out. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { ticker, clock, logger } = this.#options
    while (!this.#stop.signal.aborted) {
      const startedAt = clock.now().getTime()
      let pauseMs = afterFailureMs
      try {
        pauseMs = await ticker.tick(this.#stop.signal)
      } catch (error) {
        logger.warn({ err: error }, 'Ticking schedules failed; it is tried again')
      }
      await this.#until(startedAt + pauseMs)
    }
  }

  async #until(time: number): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#stop
    if (signal.aborted || clock.now().getTime() >= time) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const callOff = clock.alarm(time, resolve)
    const onAbort = () => resolve()
    signal.addEventListener('abort', onAbort)
    await promise
    signal.removeEventListener('abort', onAbort)
    callOff()
  }
}
