/**
 * Giving Trigger.dev what was promised: at once by the process that promised it, and again and again by every process
 * that has this engine. Who dies, rests or is frozen loses nothing: what it had taken is due again a little later.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@trigger.dev/sdk'
import type { Logger } from 'pino'
import { RateLimitedError, TriggerRefusedError } from '../../errors.ts'
import { storableError } from '../../task/json.ts'
import type { RunRequest } from '../../task/run.ts'
import type { TriggerApi } from './api.ts'
import { isRefusedForGood } from './api-errors.ts'
import type { KnownRuns } from './known-runs.ts'
import type { Due, Outbox } from './outbox.ts'
import type { Delivery, Sender } from './send.ts'

export interface DelivererOptions {
  api: TriggerApi
  outbox: Outbox
  sender: Sender
  known: KnownRuns
  logger: Logger
  /** How often this process looks for what is due, whoever promised it; in milliseconds, 15,000 by default. */
  sweepEveryMs?: number | undefined
}

const usualSweepMs = 15_000
const takenAtOnce = 1_000
/** After the first tries, by who promised it; all further ones are the sweeps'. */
const pausesMs = [1_000, 2_000, 5_000, 10_000, 30_000]
const longestPauseMs = 300_000
const tidyEveryMs = 3_600_000
const forgottenAtOnce = 1_000
/** A log line does not name thousands. */
const namedInLog = 20

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
    const { promise: tried, resolve } = Promise.withResolvers<void>()
    const untried: Promise<void> = tried.finally(() => this.#untried.delete(untried))
    this.#untried.add(untried)
    const delivering: Promise<void> = this.#deliver(runIds, resolve)
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

  /** What Trigger.dev has accepted is on record, for every process. */
  async note(deliveries: readonly Delivery[]): Promise<void> {
    const { known, outbox, logger } = this.#options
    const sent = deliveries.flatMap(({ request, triggerId }) =>
      triggerId === null ? [] : [{ request, triggerId }],
    )
    for (const { request, triggerId } of sent) known.learn(request.id, triggerId)
    const accepted = deliveries.filter(({ triggerId }) => triggerId === null).map(({ request }) => request.id)
    try {
      if (sent.length > 0) await outbox.sent(sent)
      if (accepted.length > 0) await outbox.accepted(accepted)
    } catch (error) {
      // They are there, whatever is on record; each says so itself when it begins (begin.ts).
      logger.warn(
        { err: error, ...named(deliveries.map(({ request }) => request)) },
        'Runs could not be recorded',
      )
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#timer)
    await Promise.all([...this.#pending, this.#sweeping])
  }

  async #deliver(runIds: readonly string[], onTried: () => void): Promise<void> {
    for (const pauseMs of [...pausesMs, null]) {
      const due = await this.#options.outbox.take(runIds)
      const left = due.length === 0 ? 0 : await this.#give(due)
      onTried()
      if (left === 0 || pauseMs === null) return
      await sleep(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => {})
      if (this.#closing.signal.aborted) return
    }
  }

  async #sweep(): Promise<void> {
    const { outbox } = this.#options
    for (;;) {
      if (this.#closing.signal.aborted) return
      const due = await outbox.takeDue(takenAtOnce)
      if (due.length === 0) break
      // Where Trigger.dev takes nothing for now, the rest would only be told the same.
      if ((await this.#give(due)) > 0) break
    }
    if (Date.now() < this.#tidyAt) return
    while ((await outbox.forgetOld(forgottenAtOnce)) === forgottenAtOnce)
      if (this.#closing.signal.aborted) return
    this.#tidyAt = Date.now() + tidyEveryMs
  }

  /** Answers how many are left for another time. */
  async #give(due: readonly Due[]): Promise<number> {
    const { api, outbox, sender } = this.#options
    const left = new Map(due.map((one) => [one.request.id, one]))
    const note = async (deliveries: Delivery[]) => {
      await this.note(deliveries)
      for (const { request } of deliveries) left.delete(request.id)
    }
    try {
      await note(await this.#alreadyThere(due))
      const requests = [...left.values()].map(asOfNow)
      for await (const deliveries of sender.send(requests, api.once)) await note(deliveries)
      return 0
    } catch (error) {
      const rest = [...left.values()]
      if (isRefusedForGood(error) && rest.length > 1) {
        // One of them is why; the others are not to suffer for it.
        const half = Math.ceil(rest.length / 2)
        return (await this.#give(rest.slice(0, half))) + (await this.#give(rest.slice(half)))
      }
      if (isRefusedForGood(error)) {
        for (const { request } of rest) await outbox.refuse(request.id, storableError(error))
        this.#options.logger.error(
          { err: error, ...named(rest.map(({ request }) => request)) },
          'Trigger.dev refuses a run that was promised. It is failed; replay it once that is mended',
        )
        return 0
      }
      await this.#putOff(rest, error)
      return rest.length
    }
  }

  /** Whoever tried these before may have been told nothing though they arrived. */
  async #alreadyThere(due: readonly Due[]): Promise<Delivery[]> {
    const triedBefore = due.filter(({ tries }) => tries > 1).map(({ request }) => request)
    if (triedBefore.length === 0) return []
    const found = await this.#options.api.once.find(triedBefore.map(({ id }) => id))
    return triedBefore.flatMap((request) => {
      const triggerId = found.get(request.id)
      return triggerId === undefined ? [] : [{ request, runId: request.id, triggerId }]
    })
  }

  async #putOff(rest: readonly Due[], error: unknown): Promise<void> {
    const { outbox, logger } = this.#options
    const askedMs = error instanceof RateLimitedError ? error.retryAfterMs : 0
    const byPause = Map.groupBy(rest, ({ tries }) => Math.max(askedMs, pausesMs[tries - 1] ?? longestPauseMs))
    for (const [pauseMs, some] of byPause)
      await outbox.keep(
        some.map(({ request }) => request.id),
        pauseMs,
      )
    const level = error instanceof TriggerRefusedError ? 'error' : 'warn'
    logger[level](
      { err: error, ...named(rest.map(({ request }) => request)) },
      'Runs of a committed transaction could not be triggered yet',
    )
  }
}

/** What counts from the trigger has gone on while the run waited here. */
function asOfNow({ request, createdAt }: Due): RunRequest {
  const { delayMs, runAt, ttlMs } = request
  if (delayMs === 0 && runAt === null && ttlMs === null) return request
  const startAt = runAt ?? new Date(createdAt.getTime() + delayMs)
  const lateMs = Math.max(0, Date.now() - startAt.getTime())
  return {
    ...request,
    runAt: startAt,
    delayMs: 0,
    // It has to be given to expire.
    ttlMs: ttlMs === null ? null : Math.max(1_000, ttlMs - lateMs),
  }
}

function named(requests: readonly RunRequest[]): { runs: object[]; count: number } {
  const runs = requests
    .slice(0, namedInLog)
    .map(({ id, taskId, tenantId }) => ({ run: id, task: taskId, tenant: tenantId }))
  return { runs, count: requests.length }
}
