/**
 * Taking runs for Trigger.dev. Without a transaction the caller waits until Trigger.dev has them, and is told when it has
 * not. Within one they are rows of it (outbox.ts), given to Trigger.dev once it has committed (deliver.ts).
 */
import { leaveScopes } from '../../db/scope.ts'
import type { Transaction } from '../../db/transaction.ts'
import type { RunHandle, RunRequest } from '../../task/run.ts'
import type { TriggerApi } from './api.ts'
import type { Deliverer } from './deliver.ts'
import type { Giver } from './give.ts'
import type { Outbox } from './outbox.ts'
import type { Sender } from './send.ts'
import { checkTags } from './tags.ts'

export interface EnqueuerDependencies {
  api: TriggerApi
  outbox: Outbox
  sender: Sender
  giver: Giver
  deliverer: Deliverer
  organizationOf(tenantId: string): Promise<string | undefined>
}

export class Enqueuer {
  readonly #dependencies: EnqueuerDependencies

  constructor(dependencies: EnqueuerDependencies) {
    this.#dependencies = dependencies
  }

  async enqueue(asked: readonly RunRequest[], transaction: Transaction | null): Promise<RunHandle[]> {
    const { api, outbox, deliverer } = this.#dependencies
    for (const request of asked) checkTags(request)
    // What could never be sent must not commit.
    await api.checkKey()
    const requests = await this.#withOrganizations(asked)
    const fresh = await this.#withoutKnown(requests)
    if (!transaction) {
      const handles = await this.#send(fresh)
      const ids = new Map(fresh.map((request, index) => [request, handles[index]!.id]))
      return requests.map((request) => ({ id: ids.get(request) ?? request.id }))
    }
    await outbox.insert(fresh, transaction)
    const runIds = fresh.map(({ id }) => id)
    transaction.afterCommit(() => leaveScopes(() => deliverer.deliver(runIds)))
    return requests.map(({ id }) => ({ id }))
  }

  /** Trigger.dev would take a run that has failed for one that may be made again. */
  async #withoutKnown(requests: readonly RunRequest[]): Promise<readonly RunRequest[]> {
    const repeatable = requests.flatMap((request) => (request.repeatable ? [request.id] : []))
    if (repeatable.length === 0) return requests
    const known = await this.#dependencies.outbox.knownAmong(repeatable)
    return requests.filter(({ id }) => !known.has(id))
  }

  async #send(requests: readonly RunRequest[]): Promise<RunHandle[]> {
    if (requests.length === 0) return []
    return requests.length === 1 ? await this.#sendOne(requests[0]!) : await this.#sendAll(requests)
  }

  async #withOrganizations(requests: readonly RunRequest[]): Promise<RunRequest[]> {
    const { organizationOf } = this.#dependencies
    const tenantIds = [...new Set(requests.map(({ tenantId }) => tenantId))]
    const found = new Map(
      await Promise.all(
        tenantIds.map(async (tenantId) => [tenantId, await organizationOf(tenantId)] as const),
      ),
    )
    return requests.map((request) => ({ ...request, organizationId: found.get(request.tenantId) }))
  }

  async #sendOne(request: RunRequest): Promise<RunHandle[]> {
    const { api, sender, giver } = this.#dependencies
    let runId = request.id
    for await (const delivered of sender.send([request], api)) {
      await giver.note(delivered)
      runId = delivered[0]?.runId ?? runId
    }
    return [{ id: runId }]
  }

  /**
   * All or none, though Trigger.dev takes them part by part: they are promised before the first part is sent. Where that
   * is not accepted, the promise is withdrawn; where a later one is not, it is kept like that of a transaction.
   */
  async #sendAll(requests: readonly RunRequest[]): Promise<RunHandle[]> {
    const { api, outbox, sender, giver, deliverer } = this.#dependencies
    await outbox.insertTaken(requests)
    const left = new Set(requests)
    const runIds = new Map<RunRequest, string>()
    const idsLeft = () => [...left].map(({ id }) => id)
    try {
      for await (const delivered of sender.send(requests, api)) {
        await giver.note(delivered)
        for (const { request, runId } of delivered) {
          runIds.set(request, runId)
          left.delete(request)
        }
        if (left.size > 0) await outbox.keep(idsLeft())
      }
    } catch (error) {
      if (left.size === requests.length && !(await this.#hasAny(requests))) {
        await outbox.withdraw(idsLeft())
        throw error
      }
      leaveScopes(() => deliverer.takeOver(idsLeft()))
    }
    return requests.map((request) => ({ id: runIds.get(request) ?? request.id }))
  }

  /** A part that failed may have arrived all the same, or some of it. */
  async #hasAny(requests: readonly RunRequest[]): Promise<boolean> {
    const { api } = this.#dependencies
    const found = await api.once.find(requests.map(({ id }) => id)).catch(() => new Map())
    return found.size > 0
  }
}
