/**
 * Counting runs: Trigger.dev has no call for it, so its list is read, a hundred at a time, as far back as asked. Those
 * that were made before and ended since are not among them.
 */
import type { CountFilter, RunCount } from '../../runs/counts.ts'
import type { TriggerApi } from './api.ts'
import { pageSize } from './read.ts'
import { toRunState } from './states.ts'
import { tenantInTags, tenantTag } from './tags.ts'
import { readWaitingNote } from './waiting-note.ts'

export async function countRuns(api: TriggerApi, filter: CountFilter & { from: Date }): Promise<RunCount[]> {
  const { from, to, tenantId, taskId } = filter
  const counts = new Map<string, RunCount>()
  let after: string | undefined
  for (;;) {
    const { data, hasMore } = await api.list({
      limit: pageSize,
      ...(tenantId !== undefined && { tag: tenantTag(tenantId) }),
      ...(taskId !== undefined && { taskIdentifier: taskId }),
      ...(after !== undefined && { after }),
    })
    for (const { tags, status, metadata, createdAt, taskIdentifier } of data) {
      const tenant = tenantInTags(tags)
      if (tenant === null || createdAt < from || (to && createdAt >= to)) continue
      const waiting = readWaitingNote(metadata)
      const state = toRunState({ status, attempts: 0, waiting, failedLast: false })
      const key = [taskIdentifier, tenant, state].join('\n')
      const runs = (counts.get(key)?.runs ?? 0) + 1
      counts.set(key, { taskId: taskIdentifier, tenantId: tenant, state, runs })
    }
    const last = data.at(-1)
    after = last?.id
    if (!hasMore || !last || last.createdAt < from) return [...counts.values()]
  }
}
