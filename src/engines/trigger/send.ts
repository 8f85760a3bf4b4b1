/**
 * To Trigger.dev: one run by one request, many by batches. A run with an idempotency key always goes alone, for a batch
 * does not tell which run has the key.
 */
import type { RunRequest } from '../../task/run.ts'
import type { TriggerApi } from './api.ts'
import type { KeyHolders } from './idempotency.ts'
import { type TriggerCall, toCall } from './request.ts'

export interface Delivery {
  request: RunRequest
  /** The run that it came to; another one's where that has its key. */
  runId: string
  /** Null: in a batch, whose runs come to be a little later. */
  triggerId: string | null
}

/** Trigger.dev's own limit. */
const runsPerBatch = 1_000
const keyedAtOnce = 10

export class Sender {
  readonly #holders: KeyHolders

  constructor(holders: KeyHolders) {
    this.#holders = holders
  }

  /** Tells of each request that was accepted as soon as that is known. The first failure ends it. */
  async *send(
    requests: readonly RunRequest[],
    api: TriggerApi,
    { isOwn }: { isOwn: boolean },
  ): AsyncGenerator<Delivery[]> {
    const callOf = (request: RunRequest): TriggerCall => {
      const call = toCall(request)
      return isOwn ? call : { ...call, isChild: false }
    }
    const plain = requests.filter(({ idempotency }) => idempotency === null)
    if (plain.length === 1) {
      const [request] = plain
      const { id } = await api.trigger(callOf(request!))
      yield [{ request: request!, runId: request!.id, triggerId: id }]
    } else {
      // A batch has one parent.
      for (const alike of Map.groupBy(plain, (request) => callOf(request).isChild).values()) {
        for (const some of portions(alike, runsPerBatch)) {
          const made = await api.batch(some.map(callOf))
          yield some.map((request) => ({
            request,
            runId: request.id,
            triggerId: made.get(request.id) ?? null,
          }))
        }
      }
    }
    yield* this.#sendKeyed(
      requests.filter(({ idempotency }) => idempotency !== null),
      (request) => callOf(request),
      api,
    )
  }

  async *#sendKeyed(
    requests: readonly RunRequest[],
    callOf: (request: RunRequest) => TriggerCall,
    api: TriggerApi,
  ): AsyncGenerator<Delivery[]> {
    const byKey = Map.groupBy(requests, (request) => callOf(request).options.idempotencyKey)
    for (const groups of portions([...byKey.values()], keyedAtOnce)) {
      const found = await Promise.allSettled(
        groups.map(([request]) => this.#holders.find(callOf(request!), api)),
      )
      yield groups.flatMap((group, index) => {
        const holder = found[index]!
        return holder.status === 'fulfilled' ? group.map((request) => ({ request, ...holder.value })) : []
      })
      for (const one of found) if (one.status === 'rejected') throw one.reason
    }
  }
}

function* portions<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let start = 0; start < all.length; start += size) yield all.slice(start, start + size)
}
