/** The filter of a list as a function, for engines whose runs no statement of ours can find. */
import type { RunFilter } from '../engines/engine.ts'
import type { Run } from '../task/run.ts'

/** Which page it is on, `limit` and `after`, is not looked at. */
export function matches(run: Run, { tenantId, taskId, states, tag }: RunFilter): boolean {
  return (
    (tenantId === undefined || run.tenantId === tenantId) &&
    (taskId === undefined || run.taskId === taskId) &&
    (states === undefined || states.includes(run.state)) &&
    (tag === undefined || run.tags.includes(tag))
  )
}
