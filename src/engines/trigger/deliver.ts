/**
 * When runs that were promised are given to Trigger.dev: at once by the process that promised them, and again and again by
 * every process that has this engine. Who dies, rests or is frozen loses nothing: what it had taken is due again soon.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@trigger.dev/sdk'
import type { Logger } from 'pino'
import { type Giver, pausesMs } from './give.ts'
import type { Outbox } from './outbox.ts'

export interface DelivererOptions {
  outbox: Outbox
  giver: Giver
  logger: Logger
  /** How often this process looks for what is due, whoever promised it; in milliseconds, 15,000 by default. */
  sweepEveryMs?: number | undefined
}

const usualSweepMs = 15_000
const takenAtOnce = 1_000
const tidyEveryMs = 3_600_000
const forgottenAtOnce = 1_000

export class Deliverer {
  readonly #options: DelivererOptions
  readonly #pending = new Set<Promise<void>>()
  /** Those of them that have not been tried once. */
  readonly #untried = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  #sweeping: Promise<void> | null = null
  #timer: NodeJS.Timeout | undefined
  #tidyAt = 0

  constructor(options: DelivererOptions) {
    this.#options = options
  }

  /** Looks for what is due, now and from now on. Keeps no process alive. */
  start(): void {
    if (this.#closing.signal.aborted) return
    this.#sweeping ??= this.#sweep()
      .catch((error) =>
        this.#options.logger.warn({ err: error }, 'Runs that wait for Trigger.dev could not be read'),
      )
      .finally(() => {
        this.#sweeping = null
        const inMs = (this.#options.sweepEveryMs ?? usualSweepMs) * (0.75 + Math.random() / 2)
        if (!this.#closing.signal.aborted) this.#timer = setTimeout(() => this.start(), inMs).unref()
      })
  }

  /** These runs were promised by this process. */
  deliver(runIds: readonly string[]): void {
    this.#begin((onTried) => this.#deliver(runIds, onTried))
  }

  /** And these, whose sending was begun and is left to this. */
  takeOver(runIds: readonly string[]): void {
    this.#begin(async (onTried) => {
      await this.#options.outbox.keep(runIds, 0)
      await this.#deliver(runIds, onTried)
    })
  }

  #begin(deliver: (onTried: () => void) => Promise<void>): void {
    const { promise: tried, resolve } = Promise.withResolvers<void>()
    const untried: Promise<void> = tried.finally(() => this.#untried.delete(untried))
    this.#untried.add(untried)
    const delivering: Promise<void> = deliver(resolve)
      .catch((error) => {
        this.#options.logger.warn({ err: error }, 'Runs of a transaction are given to Trigger.dev later')
        resolve()
      })
      .finally(() => this.#pending.delete(delivering))
    this.#pending.add(delivering)
    // In a run on Trigger.dev: it may be the only process for a while. Elsewhere this does nothing.
    waitUntil(delivering)
  }

  /** Answers when everything that this process has promised was tried once. */
  async settled(): Promise<void> {
    await Promise.all(this.#untried)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#timer)
    await Promise.all([...this.#pending, this.#sweeping])
  }

  async #deliver(runIds: readonly string[], onTried: () => void): Promise<void> {
    const { outbox, giver } = this.#options
    // All further tries are the sweeps'.
    for (const pauseMs of [...pausesMs, null]) {
      const left = await giver.give(await outbox.take(runIds))
      onTried()
      if (left === 0 || pauseMs === null) return
      await sleep(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => {})
      if (this.#closing.signal.aborted) return
    }
  }

  async #sweep(): Promise<void> {
    const { outbox, giver } = this.#options
    for (;;) {
      if (this.#closing.signal.aborted) return
      const due = await outbox.takeDue(takenAtOnce)
      if (due.length === 0) break
      // Where Trigger.dev takes nothing for now, the rest would only be told the same.
      if ((await giver.give(due)) > 0) break
    }
    if (Date.now() < this.#tidyAt) return
    while ((await outbox.forgetOld(forgottenAtOnce)) === forgottenAtOnce)
      if (this.#closing.signal.aborted) return
    this.#tidyAt = Date.now() + tidyEveryMs
  }
}
