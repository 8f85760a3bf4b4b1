/**
 * To Trigger.dev: one run by one request, many by batches. A run with an idempotency key always goes alone, for a batch
 * does not tell which run has the key.
 */

import { portions } from '../../portions.ts'
import type { RunRequest } from '../../task/run.ts'
import type { TriggerApi } from './api.ts'
import type { KeyHolders } from './idempotency.ts'
import { idempotencyKeyOf, toCall } from './request.ts'

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
  async *send(requests: readonly RunRequest[], api: TriggerApi): AsyncGenerator<Delivery[]> {
    const plain = requests.filter(({ idempotency }) => idempotency === null)
    if (plain.length === 1) yield [await sendOne(plain[0]!, api)]
    else for (const some of portions(plain, runsPerBatch)) yield await sendBatch(some, api)
    const keyed = requests.filter(({ idempotency }) => idempotency !== null)
    yield* this.#sendKeyed(keyed, api)
  }

  async *#sendKeyed(requests: readonly RunRequest[], api: TriggerApi): AsyncGenerator<Delivery[]> {
    const byKey = Map.groupBy(requests, idempotencyKeyOf)
    for (const groups of portions([...byKey.values()], keyedAtOnce)) {
      const found = await Promise.allSettled(
        groups.map(([request]) => this.#holders.find(toCall(request!), api)),
      )
      yield groups.flatMap((group, index) => {
        const holder = found[index]!
        return holder.status === 'fulfilled' ? group.map((request) => ({ request, ...holder.value })) : []
      })
      for (const one of found) if (one.status === 'rejected') throw one.reason
    }
  }
}

async function sendOne(request: RunRequest, api: TriggerApi): Promise<Delivery> {
  const { id } = await api.trigger(toCall(request))
  return { request, runId: request.id, triggerId: id }
}

async function sendBatch(requests: readonly RunRequest[], api: TriggerApi): Promise<Delivery[]> {
  const there = await api.batch(requests.map(toCall))
  return requests.map((request) => ({ request, runId: request.id, triggerId: there.get(request.id) ?? null }))
}
