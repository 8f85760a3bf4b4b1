/** Does something again and again, never twice at once. What it does may answer how long to pause, in milliseconds. */
export class Ticker {
  readonly #tick: () => Promise<number | undefined> | Promise<void>
  readonly #pauseMs: number
  readonly #onError: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #ticking: Promise<void> | null = null
  #again = false
  #stopped = false

  constructor(
    tick: () => Promise<number | undefined> | Promise<void>,
    pauseMs: number,
    onError: (error: unknown) => void,
  ) {
    this.#tick = tick
    this.#pauseMs = pauseMs
    this.#onError = onError
  }

  start(): void {
    this.soon(this.#pauseMs)
  }

  /** Ticks in `ms` at the latest. */
  soon(ms = 0): void {
    const dueAt = performance.now() + ms
    if (this.#stopped || dueAt >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    this.#timer = setTimeout(() => this.#due(), Math.max(0, Math.ceil(ms)))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#ticking
  }

  #due(): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    if (this.#ticking) this.#again = true
    else this.#ticking = this.#tickOnce()
  }

  async #tickOnce(): Promise<void> {
    let pauseMs = this.#pauseMs
    try {
      pauseMs = (await this.#tick()) ?? this.#pauseMs
    } catch (error) {
      this.#onError(error)
    }
    this.#ticking = null
    const again = this.#again
    this.#again = false
    this.soon(again ? 0 : pauseMs)
  }
}
