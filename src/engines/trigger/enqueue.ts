/**
 * Into Trigger.dev's queue: one run by one request, many by batches. A run with an idempotency key always goes alone,
 * for a batch does not tell which run has the key.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@trigger.dev/sdk'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import { platformTransaction } from '../../db/platform-transaction.ts'
import { leaveScopes } from '../../db/scope.ts'
import type { Transaction } from '../../db/transaction.ts'
import { TriggerUnavailableError } from '../../errors.ts'
import type { Run, RunHandle, RunRequest } from '../../task/run.ts'
import type { TriggerApi } from './api.ts'
import type { KnownRuns } from './known-runs.ts'
import { inParallel } from './parallel.ts'
import type { RunReader } from './read.ts'
import { type TriggerCall, toCall } from './request.ts'
import { checkTags } from './tags.ts'

/** Trigger.dev's own limit. */
const runsPerBatch = 1_000
const keyedAtOnce = 10
/** What a transaction has promised is tried until this process ends, the last of these again and again. */
const retriesMs = [1_000, 2_000, 5_000, 10_000, 30_000]

export interface EnqueuerDependencies {
  api: TriggerApi
  reader: RunReader
  known: KnownRuns
  database: Database
  logger: Logger
}

export class Enqueuer {
  readonly #dependencies: EnqueuerDependencies
  /** Triggered in transactions that have committed, and on their way. */
  readonly #pending = new Set<Promise<void>>()
  /** Those of them that have not been tried once. */
  readonly #untried = new Set<Promise<void>>()
  /** Keys that are being freed, so that those who want one key do it once. */
  readonly #renewing = new Map<string, Promise<string>>()
  readonly #closing = new AbortController()

  constructor(dependencies: EnqueuerDependencies) {
    this.#dependencies = dependencies
  }

  /** With a transaction: once that has committed. Their ids are ours, so they are known before. */
  async enqueue(requests: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]> {
    for (const request of requests) checkTags(request)
    if (!transaction) return await this.#send(requests)
    transaction.afterCommit(() => leaveScopes(() => this.#sendLater(requests)))
    return requests.map(({ id }) => ({ id }))
  }

  /** Answers when everything that committed before has been sent, or cannot be sent for now. */
  async settled(): Promise<void> {
    await Promise.all(this.#untried)
  }

  /** One more try for what waits for its next one. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#pending)
  }

  async #send(requests: readonly RunRequest[]): Promise<RunHandle[]> {
    const plain = requests.filter(({ idempotency }) => idempotency === null)
    const keyed = requests.filter(({ idempotency }) => idempotency !== null)
    if (plain.length === 1) await this.#sendOne(plain[0]!)
    else
      for (let start = 0; start < plain.length; start += runsPerBatch) {
        await this.#sendBatch(plain.slice(start, start + runsPerBatch))
      }
    const holders = await this.#sendKeyed(keyed)
    return requests.map((request) => ({ id: holders.get(request) ?? request.id }))
  }

  async #sendOne(request: RunRequest): Promise<void> {
    const { api, known } = this.#dependencies
    const { id } = await api.trigger(toCall(request))
    known.learn(request.id, id)
  }

  async #sendBatch(requests: readonly RunRequest[]): Promise<void> {
    const { api, known } = this.#dependencies
    await api.batch(requests.map(toCall))
    for (const request of requests) known.accepted(request)
  }

  /** Which run has each request's key: its own, or one that was there. */
  async #sendKeyed(requests: readonly RunRequest[]): Promise<Map<RunRequest, string>> {
    const byKey = Map.groupBy(requests, (request) => toCall(request).options.idempotencyKey)
    const groups = [...byKey.values()]
    const holders = await inParallel(groups, keyedAtOnce, (group) => this.#holderOf(group[0]!))
    const { known } = this.#dependencies
    return new Map(
      groups.flatMap((group, index) =>
        group.map((request) => {
          const { runId, triggerId } = holders[index]!
          // Its own id may have been told to a transaction before another run turned out to have the key.
          known.learn(request.id, triggerId)
          return [request, runId] as const
        }),
      ),
    )
  }

  async #holderOf(request: RunRequest): Promise<{ runId: string; triggerId: string }> {
    const { api, reader } = this.#dependencies
    const call = toCall(request)
    const { id, isCached } = await api.trigger(call)
    if (!isCached) return { runId: request.id, triggerId: id }
    const holder = await reader.getByTriggerId(id)
    if (holder && !isSpent(holder)) return { runId: holder.id, triggerId: id }
    const triggerId = await this.#renew(call)
    return { runId: (await reader.getByTriggerId(triggerId))?.id ?? request.id, triggerId }
  }

  /**
   * Trigger.dev itself frees the key of a run that failed, and not that of every other run that came to nothing. Who
   * frees a key could free that of a run which has just taken it: one process at a time, and each looks again first.
   */
  #renew(call: TriggerCall): Promise<string> {
    const { idempotencyKey: key } = call.options
    const renewing =
      this.#renewing.get(key) ?? this.#renewAlone(call).finally(() => this.#renewing.delete(key))
    this.#renewing.set(key, renewing)
    return renewing
  }

  async #renewAlone(call: TriggerCall): Promise<string> {
    const { api, reader, database } = this.#dependencies
    const { idempotencyKey: key } = call.options
    return await platformTransaction(database, async (client) => {
      await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`trigger.dev ${key}`])
      const again = await api.trigger(call)
      if (!again.isCached) return again.id
      // On the connection that is held: waiting for another one could wait for ever.
      const holder = await reader.getByTriggerId(again.id, client)
      if (holder && !isSpent(holder)) return again.id
      await api.resetKey(call.id, key)
      return (await api.trigger(call)).id
    })
  }

  #sendLater(requests: readonly RunRequest[]): void {
    const { known } = this.#dependencies
    for (const request of requests) known.accepted(request)
    const { promise: tried, resolve } = Promise.withResolvers<void>()
    const untried: Promise<void> = tried.finally(() => this.#untried.delete(untried))
    this.#untried.add(untried)
    const sending: Promise<void> = this.#sendSurely(requests, resolve).finally(() =>
      this.#pending.delete(sending),
    )
    this.#pending.add(sending)
    // In a run on Trigger.dev: its process may be gone as soon as the run has ended. Elsewhere it does nothing.
    waitUntil(sending)
  }

  /** The transaction has committed; nobody is left to be told of a failure but the operator. */
  async #sendSurely(requests: readonly RunRequest[], onTried: () => void): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      const sent = await this.#tryToSend(requests)
      onTried()
      if (sent) return
      const pauseMs = retriesMs[Math.min(failures, retriesMs.length - 1)]
      await sleep(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => {})
    }
  }

  /** False: it is to be tried again. */
  async #tryToSend(requests: readonly RunRequest[]): Promise<boolean> {
    const { logger, known } = this.#dependencies
    const isLast = this.#closing.signal.aborted
    try {
      await this.#send(requests)
      return true
    } catch (error) {
      const runs = requests.map(({ id, taskId, tenantId }) => ({ run: id, task: taskId, tenant: tenantId }))
      if (!isLast && error instanceof TriggerUnavailableError) {
        logger.warn({ err: error, runs }, 'Runs of a committed transaction could not be triggered yet')
        return false
      }
      logger.error({ err: error, runs }, 'Runs of a committed transaction are lost: trigger them again')
      for (const { id } of requests) known.lost(id)
      return true
    }
  }
}

/** Its key is free for a new run. */
function isSpent({ state }: Run): boolean {
  return state === 'failed' || state === 'cancelled' || state === 'expired'
}
