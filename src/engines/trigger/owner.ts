/**
 * Whose run it is. Its tags tell Trigger.dev, and its payload tells whoever runs it. The two are one, unless somebody has
 * replayed a run in Trigger.dev's dashboard with an edited payload: what is run is the payload, so it decides.
 */
import { type RunFacts, tenantInPayload } from './run-facts.ts'
import { tenantInTags } from './tags.ts'

export interface Owner {
  tenantId: string
  /** The UUID of its row. Null: the run does not say. */
  organization: string | null
}

/** Null: none of ours, for it belongs to no tenant. */
export function ownerOf(tags: readonly string[], payload: unknown, facts: RunFacts | null): Owner | null {
  const tagged = tenantInTags(tags)
  if (tagged !== null && isOf(tagged, payload, facts)) {
    return { tenantId: tagged, organization: facts?.organization ?? null }
  }
  // What the run knows of its tenant was written for the tenant of its tag.
  const given = tenantInPayload(payload)
  return given === null ? null : { tenantId: given, organization: null }
}

/** Whether the payload is for this tenant, or says nothing of any. */
export function isOf(tenantId: string, payload: unknown, facts: RunFacts | null): boolean {
  const given = tenantInPayload(payload)
  return given === null || given === (facts?.tenantAs ?? tenantId)
}
