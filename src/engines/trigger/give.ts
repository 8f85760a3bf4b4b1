/**
 * Giving Trigger.dev runs that were promised, and keeping book of what became of each: it has them, it refuses one for
 * good, or they are due again later.
 */
import type { Logger } from 'pino'
import { RateLimitedError, TriggerRefusedError } from '../../errors.ts'
import { portions } from '../../portions.ts'
import { storableError } from '../../task/json.ts'
import type { RunRequest } from '../../task/run.ts'
import type { TriggerApi } from './api.ts'
import { isRefusedForGood } from './api-errors.ts'
import type { KnownRuns } from './known-runs.ts'
import type { Due, Outbox } from './outbox.ts'
import type { Delivery, Sender } from './send.ts'

export interface GiverOptions {
  api: TriggerApi
  outbox: Outbox
  sender: Sender
  known: KnownRuns
  logger: Logger
}

/** After the first tries that failed; all further ones wait for the longest. */
export const pausesMs: readonly number[] = [1_000, 2_000, 5_000, 10_000, 30_000]
const longestPauseMs = 300_000
/**
 * How many go together, by how often they have been tried: among those that fail again and again may be one that is why,
 * for instance with a payload that is too large for a Trigger.dev without object store.
 */
const togetherByTries = [1_000, 1_000, 100, 10, 1]
/** After this many failures in a row it is not because of the runs, and the rest waits. */
const failuresInARow = 3
/** A log line does not name thousands. */
const namedInLog = 20

export class Giver {
  readonly #options: GiverOptions

  constructor(options: GiverOptions) {
    this.#options = options
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

  /** Answers how many are left for another time. */
  async give(due: readonly Due[]): Promise<number> {
    let left = 0
    let failures = 0
    for (const portion of portionsOf(due)) {
      const leftOfIt = failures < failuresInARow ? await this.#givePortion(portion) : portion.length
      failures = leftOfIt === 0 ? 0 : failures + 1
      left += leftOfIt
    }
    return left
  }

  async #givePortion(due: readonly Due[]): Promise<number> {
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
        return (await this.#givePortion(rest.slice(0, half))) + (await this.#givePortion(rest.slice(half)))
      }
      if (isRefusedForGood(error)) {
        for (const { request } of rest) await outbox.refuse(request, storableError(error))
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

function* portionsOf(due: readonly Due[]): Generator<Due[]> {
  for (const [tries, alike] of Map.groupBy(due, ({ tries }) => Math.min(tries, togetherByTries.length))) {
    yield* portions(alike, togetherByTries[tries - 1] ?? 1)
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
