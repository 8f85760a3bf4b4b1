/** The tenant's runs that failed on some days. A task sees runs through the public API alone. */
import { runs } from '@cgk-platform/jobs'
import type { DailyFigures } from '../email/templates/admin-daily-digest.ts'
import type { Days } from './figures.ts'

const runsPerPage = 200
/** Payloads come along, and a morning after an outage may have any number of failures. */
const mostPages = 25
/** Runs are listed by when they were triggered. One that fails so long after that is missed. */
const longestLifeMs = 7 * 86_400_000
const mostTasks = 10

export async function countFailedRuns(
  tenantId: string,
  { start, end }: Days,
  signal: AbortSignal,
): Promise<DailyFigures['failedRuns']> {
  const byTask = new Map<string, number>()
  let isAll = false
  let after: string | null = null
  for (let page = 0; page < mostPages && !isAll; page += 1) {
    signal.throwIfAborted()
    const { runs: failed, next } = await runs.list({
      tenantId,
      states: ['failed'],
      limit: runsPerPage,
      ...(after !== null && { after }),
    })
    for (const { taskId, finishedAt } of failed) {
      if (finishedAt && finishedAt >= start && finishedAt < end) {
        byTask.set(taskId, (byTask.get(taskId) ?? 0) + 1)
      }
    }
    const oldest = failed.at(-1)
    isAll = next === null || !oldest || oldest.createdAt.getTime() < start.getTime() - longestLifeMs
    after = next
  }

  const worstFirst = [...byTask].sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1))
  return {
    count: worstFirst.reduce((sum, [, count]) => sum + count, 0),
    isAll,
    byTask: worstFirst.slice(0, mostTasks).map(([taskId, count]) => ({ taskId, count })),
  }
}
