/**
 * All the work of one tenant. Runs of a suspended tenant wait in Trigger.dev, each looking for itself, so resuming has
 * nothing to do. Trigger.dev deletes no run: what has ended stays there, out of sight (read.ts).
 */
import type { Database } from '../../db/database.ts'
import { forgetTenant } from '../../runs/forget-tenant.ts'
import { openStates } from '../../task/run.ts'
import type { TenantWork } from '../../tenants/work.ts'
import type { ApiFilter, ApiListedRun, TriggerApi } from './api.ts'
import type { Outbox } from './outbox.ts'
import { inParallel } from './parallel.ts'
import { pageSize } from './read.ts'
import { type ApiStatus, toStatuses } from './states.ts'
import { tenantInTags, tenantTag } from './tags.ts'
import { readWaitingNote } from './waiting-note.ts'

const callsAtOnce = 10

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
      for await (const page of openRuns(api, ofTenant(tenantId))) open += page.length
      return open
    },
    async release() {},
    async drop(tenantId) {
      await settled()
      // First, so that nothing is sent any more while what has been sent is cancelled.
      const recent = await outbox.drop(tenantId)
      await inParallel(recent, callsAtOnce, (id) => api.cancel(id))
      for await (const page of openRuns(api, ofTenant(tenantId))) {
        await inParallel(page, callsAtOnce, ({ id }) => api.cancel(id))
      }
      await forgetTenant(database, tenantId)
    },
  }
}

export async function countHeld(api: TriggerApi, tenantId: string, service: string): Promise<number> {
  let held = 0
  for await (const page of openRuns(api, ofTenant(tenantId), toStatuses(['held']))) {
    const notes = await inParallel(page, callsAtOnce, async ({ id, metadata }) =>
      readWaitingNote(metadata ?? (await api.retrieve(id))?.metadata),
    )
    held += notes.filter((note) => note?.state === 'held' && note.by === service).length
  }
  return held
}

/** One tag can be asked for, and a caller's finds fewer runs than a tenant's: those of one schedule of one task. */
export async function tenantsWithOpenRun(
  api: TriggerApi,
  taskId: string,
  tag: string,
  tenantIds: readonly string[],
): Promise<string[]> {
  const busy = new Set<string | null>()
  for await (const page of openRuns(api, { tag, taskIdentifier: taskId })) {
    for (const { tags } of page) busy.add(tenantInTags(tags))
  }
  return tenantIds.filter((tenantId) => busy.has(tenantId))
}

function ofTenant(tenantId: string): Pick<ApiFilter, 'tag'> {
  return { tag: tenantTag(tenantId) }
}

/** Page by page; what ends meanwhile shifts none, for the next one begins after a run and not at a number. */
async function* openRuns(
  api: TriggerApi,
  which: Pick<ApiFilter, 'tag' | 'taskIdentifier'>,
  status: ApiStatus[] = toStatuses(openStates),
): AsyncGenerator<ApiListedRun[]> {
  let after: string | undefined
  for (;;) {
    const filter = { ...which, status, limit: pageSize, ...(after && { after }) }
    const { data, hasMore } = await api.list(filter)
    if (data.length > 0) yield data
    after = data.at(-1)?.id
    if (!hasMore || after === undefined) return
  }
}
