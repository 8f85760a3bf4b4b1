/** The tags of a run: its tenant and its id, which are ours, and those the caller gave. Trigger.dev takes ten. */
import { InvalidTriggerOptionsError } from '../../errors.ts'
import { runTag } from './run-id.ts'

const tenantPrefix = 'tenant:'
const ours = [tenantPrefix, 'run:']
const atMost = 10

export function tenantTag(tenantId: string): string {
  return `${tenantPrefix}${tenantId}`
}

export function tenantInTags(tags: readonly string[]): string | null {
  return tags.find((tag) => tag.startsWith(tenantPrefix))?.slice(tenantPrefix.length) ?? null
}

export function withoutOurs(tags: readonly string[]): string[] {
  return tags.filter((tag) => !isOurs(tag))
}

/** @throws InvalidTriggerOptionsError before anything is sent. */
export function checkTags(tags: readonly string[]): void {
  const room = atMost - ours.length
  if (tags.length > room) {
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

export function tagsOf({
  tenantId,
  id,
  tags,
}: {
  tenantId: string
  id: string
  tags: readonly string[]
}): string[] {
  return [tenantTag(tenantId), runTag(id), ...tags]
}

function isOurs(tag: string): boolean {
  return ours.some((prefix) => tag.startsWith(prefix))
}
