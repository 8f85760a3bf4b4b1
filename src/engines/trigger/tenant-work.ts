/**
 * All the work of one tenant. Runs of a suspended tenant wait in Trigger.dev, each looking for itself, so resuming has
 * nothing to do. Trigger.dev deletes no run: what has ended stays there, out of sight (read.ts).
 */
import type { Database } from '../../db/database.ts'
import { openStates } from '../../task/run.ts'
import type { TenantWork } from '../../tenants/work.ts'
import type { ApiListedRun, TriggerApi } from './api.ts'
import type { Outbox } from './outbox.ts'
import { inParallel } from './parallel.ts'
import { pageSize } from './read.ts'
import { type ApiStatus, toStatuses } from './states.ts'
import { tenantTag } from './tags.ts'
import { readWaitingNote } from './waiting-note.ts'

const callsAtOnce = 10

const forgetSql = `
  WITH holds AS (DELETE FROM public.platform_holds WHERE tenant_id = $1),
    events AS (DELETE FROM public.platform_webhook_events WHERE tenant_id = $1),
    begun AS (DELETE FROM public.platform_trigger_runs WHERE tenant_id = $1)
  DELETE FROM public.platform_attempts WHERE tenant_id = $1`

export function tenantWork(
  api: TriggerApi,
  database: Database,
  outbox: Outbox,
  settled: () => Promise<void>,
): TenantWork {
  return {
    async countOpen(tenantId) {
      await settled()
      let open = await outbox.countDue(tenantId)
      for await (const page of openRuns(api, tenantId)) open += page.length
      return open
    },
    async release() {},
    async drop(tenantId) {
      await settled()
      // First, so that nothing is sent any more while what has been sent is cancelled.
      const recent = await outbox.drop(tenantId)
      await inParallel(recent, callsAtOnce, (id) => api.cancel(id))
      for await (const page of openRuns(api, tenantId)) {
        await inParallel(page, callsAtOnce, ({ id }) => api.cancel(id))
      }
      await database.query(forgetSql, [tenantId])
    },
  }
}

export async function countHeld(api: TriggerApi, tenantId: string, service: string): Promise<number> {
  let held = 0
  for await (const page of openRuns(api, tenantId, toStatuses(['held']))) {
    const notes = await inParallel(page, callsAtOnce, async ({ id, metadata }) =>
      readWaitingNote(metadata ?? (await api.retrieve(id))?.metadata),
    )
    held += notes.filter((note) => note?.state === 'held' && note.by === service).length
  }
  return held
}

/** Page by page; what ends meanwhile shifts none, for the next one begins after a run and not at a number. */
async function* openRuns(
  api: TriggerApi,
  tenantId: string,
  status: ApiStatus[] = toStatuses(openStates),
): AsyncGenerator<ApiListedRun[]> {
  let after: string | undefined
  for (;;) {
    const filter = { tag: tenantTag(tenantId), status, limit: pageSize, ...(after && { after }) }
    const { data, hasMore } = await api.list(filter)
    if (data.length > 0) yield data
    after = data.at(-1)?.id
    if (!hasMore || after === undefined) return
  }
}
