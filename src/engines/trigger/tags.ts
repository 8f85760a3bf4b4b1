/** The tags of a run: its tenant and its id, which are ours, and those the caller gave. Trigger.dev takes ten. */
import { InvalidTriggerOptionsError } from '../../errors.ts'
import type { RunRequest } from '../../task/run.ts'
import { runTag } from './run-id.ts'

const tenantPrefix = 'tenant:'
const ours = [tenantPrefix, 'run:']
const atMost = 10
const room = atMost - ours.length

export function tenantTag(tenantId: string): string {
  return `${tenantPrefix}${tenantId}`
}

export function tenantInTags(tags: readonly string[]): string | null {
  return tags.find((tag) => tag.startsWith(tenantPrefix))?.slice(tenantPrefix.length) ?? null
}

export function withoutOurs(tags: readonly string[]): string[] {
  return tags.filter((tag) => !isOurs(tag))
}

/**
 * A replay has the tags of the run that it repeats, and one of the dashboard may have had ten: that is no reason to refuse
 * it. @throws InvalidTriggerOptionsError before anything is sent.
 */
export function checkTags({ tags, replayOf }: Pick<RunRequest, 'tags' | 'replayOf'>): void {
  if (tags.length > room && replayOf === null) {
    throw new InvalidTriggerOptionsError(
      `These options cannot be used: on Trigger.dev a run has at most ${room} tags of its own, for it takes ${atMost} and the platform adds ${ours.length}.`,
    )
  }
  const taken = tags.find(isOurs)
  if (taken === undefined) return
  throw new InvalidTriggerOptionsError(
    `These options cannot be used: on Trigger.dev, tags that begin with ${ours.join(' or ')} are the platform's own.`,
  )
}

/** As many of the caller's as there is room for. */
export function tagsOf({ tenantId, id, tags }: Pick<RunRequest, 'tenantId' | 'id' | 'tags'>): string[] {
  return [tenantTag(tenantId), runTag(id), ...tags.slice(0, room)]
}

function isOurs(tag: string): boolean {
  return ours.some((prefix) => tag.startsWith(prefix))
}
