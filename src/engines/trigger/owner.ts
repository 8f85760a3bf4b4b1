/**
 * Whose run it is. Its tags tell Trigger.dev, and its payload tells whoever runs it. The two are one, unless somebody has
 * replayed a run in Trigger.dev's dashboard with an edited payload: what is run is the payload, so it decides.
 */
import type { RunFacts } from './run-facts.ts'
import { tenantInPayload } from './run-facts.ts'
import { tenantInTags } from './tags.ts'

/** Null: none of ours, for it belongs to no tenant. */
export function ownerOf(tags: readonly string[], payload: unknown, facts: RunFacts | null): string | null {
  const tagged = tenantInTags(tags)
  return tagged !== null && isOf(tagged, payload, facts) ? tagged : tenantInPayload(payload)
}

/** Whether the payload is for this tenant, or says nothing of any. */
export function isOf(tenantId: string, payload: unknown, facts: RunFacts | null): boolean {
  const given = tenantInPayload(payload)
  return given === null || given === (facts?.tenantAs ?? tenantId)
}
