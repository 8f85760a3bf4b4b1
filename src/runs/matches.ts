/** The filter of a list as a function, for engines whose runs no statement of ours can find. */
import type { RunFilter } from '../engines/engine.ts'
import type { Run } from '../task/run.ts'

/** Which page it is on, `limit` and `after`, is not looked at. */
export function matches(run: Run, filter: RunFilter): boolean {
  const { tenantId, taskId, states, tag, from, to, fingerprint, errorText, idPrefix, triggeredBy, replayOf } =
    filter
  const has = <T>(wanted: T | undefined, value: T | null) => wanted === undefined || wanted === value
  return (
    has(tenantId, run.tenantId) &&
    has(taskId, run.taskId) &&
    (states === undefined || states.includes(run.state)) &&
    (tag === undefined || run.tags.includes(tag)) &&
    (from === undefined || run.createdAt >= from) &&
    (to === undefined || run.createdAt < to) &&
    has(fingerprint, run.fingerprint) &&
    (errorText === undefined || contains(run.error?.message, errorText)) &&
    (idPrefix === undefined || run.id.startsWith(idPrefix.toLowerCase())) &&
    has(triggeredBy?.kind, run.triggeredBy.kind) &&
    has(triggeredBy?.ref, run.triggeredBy.ref) &&
    has(replayOf, run.replayOf)
  )
}

function contains(message: string | undefined, part: string): boolean {
  return (message ?? '').toLowerCase().includes(part.toLowerCase())
}
