/** Triggering tasks, over HTTP. */
import type { TriggerOptions } from '../task/options.ts'
import type { Connection } from './connection.ts'
import type { ClientBatchItem, IdOf, PayloadOf, Registry } from './types.ts'

export interface ClientTasks<Tasks extends Registry> {
  /** Queues a run. However often the request is tried, it is one run. */
  trigger<Id extends IdOf<Tasks>>(
    id: Id,
    payload: PayloadOf<Tasks, Id>,
    options?: TriggerOptions,
  ): Promise<{ id: string }>
  /** Queues all or none, in order; 1,000 at most. */
  batchTrigger<Id extends IdOf<Tasks>>(
    id: Id,
    items: readonly ClientBatchItem<PayloadOf<Tasks, Id>>[],
  ): Promise<{ id: string }[]>
}

export function createClientTasks<Tasks extends Registry>(connection: Connection): ClientTasks<Tasks> {
  return {
    async trigger(task, payload, options) {
      return await connection.send({
        method: 'POST',
        path: '/runs',
        body: { task, payload, options },
        idempotencyKey: crypto.randomUUID(),
      })
    },

    async batchTrigger(task, items) {
      if (items.length === 0) return []
      const { ids } = await connection.send<{ ids: string[] }>({
        method: 'POST',
        path: '/runs/batch',
        body: { task, items },
        idempotencyKey: crypto.randomUUID(),
      })
      return ids.map((id) => ({ id }))
    },
  }
}
