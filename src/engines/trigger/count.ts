/**
 * Counting runs: Trigger.dev has no call for it, so its lists are read, a hundred at a time: what is open, and what has
 * ended as far back as asked, by when it was made.
 */
import type { CountFilter, RunCount } from '../../runs/counts.ts'
import { finalStates, openStates } from '../../task/run.ts'
import type { ApiListedRun, TriggerApi } from './api.ts'
import { pageSize } from './read.ts'
import { type ApiStatus, toRunState, toStatuses } from './states.ts'
import { tenantInTags, tenantTag } from './tags.ts'
import { readWaitingNote } from './waiting-note.ts'

export async function countRuns(api: TriggerApi, filter: CountFilter & { from: Date }): Promise<RunCount[]> {
  const { from, to } = filter
  const counts = new Map<string, RunCount>()
  for await (const page of listed(api, filter, toStatuses(openStates)))
    for (const run of page) add(counts, run)
  for await (const page of listed(api, filter, toStatuses(finalStates))) {
    for (const run of page) if (run.createdAt >= from && !(to && run.createdAt >= to)) add(counts, run)
    if (page.at(-1)!.createdAt < from) break
  }
  return [...counts.values()]
}

function add(counts: Map<string, RunCount>, run: ApiListedRun): void {
  const { tags, status, metadata, taskIdentifier: taskId } = run
  const tenantId = tenantInTags(tags)
  if (tenantId === null) return
  const waiting = readWaitingNote(metadata)
  const state = toRunState({ status, attempts: 0, waiting, failedLast: false })
  const key = [taskId, tenantId, state].join('\n')
  counts.set(key, { taskId, tenantId, state, runs: (counts.get(key)?.runs ?? 0) + 1 })
}

/** Newest first. */
async function* listed(
  api: TriggerApi,
  { tenantId, taskId }: CountFilter,
  status: ApiStatus[],
): AsyncGenerator<ApiListedRun[]> {
  let after: string | undefined
  for (;;) {
    const { data, hasMore } = await api.list({
      status,
      limit: pageSize,
      ...(tenantId !== undefined && { tag: tenantTag(tenantId) }),
      ...(taskId !== undefined && { taskIdentifier: taskId }),
      ...(after !== undefined && { after }),
    })
    if (data.length > 0) yield data
    after = data.at(-1)?.id
    if (!hasMore || after === undefined) return
  }
}
