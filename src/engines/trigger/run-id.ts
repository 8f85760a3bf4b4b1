/**
 * The two ids of a run. Trigger.dev makes one of its own (`run_...`); the platform's, a UUID chosen before the run
 * exists, travels as a tag. It is what callers, tables and idempotency keys know the run by.
 */
import { createHash } from 'node:crypto'

const prefix = 'run:'
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function isUuid(text: string): boolean {
  return uuid.test(text)
}

export function runTag(runId: string): string {
  return `${prefix}${runId}`
}

/** The platform's id among the tags of a run. */
export function runIdInTags(tags: readonly string[]): string | null {
  const id = tags.find((tag) => tag.startsWith(prefix))?.slice(prefix.length)
  return id !== undefined && isUuid(id) ? id : null
}

/** Of a run that the dashboard made. A UUID of version 8: its bits are a hash. */
export function derivedRunId(triggerRunId: string): string {
  const hash = createHash('sha256').update(triggerRunId).digest('hex')
  const variant = ((Number.parseInt(hash[16]!, 16) & 0x3) | 0x8).toString(16)
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    variant + hash.slice(17, 20),
    hash.slice(20, 32),
  ].join('-')
}
