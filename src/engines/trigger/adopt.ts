/**
 * A run that Trigger.dev's own dashboard made, or replayed there, has no id of the platform, or that of the run it
 * repeats. When it begins it is given its own, in its tags and its metadata, so that whoever reads runs finds it.
 */
import { metadata, tags } from '@trigger.dev/sdk'
import type { Logger } from 'pino'
import { factsKey, type RunFacts, readFacts, tenantInPayload } from './run-facts.ts'
import { derivedRunId, runIdInTags, runTag } from './run-id.ts'
import { tenantInTags, tenantTag } from './tags.ts'

export interface BegunRun {
  /** Trigger.dev's. */
  id: string
  tags: readonly string[]
  isReplay: boolean
  priority?: number | undefined
}

/** The platform's id of the run, the same in every attempt. The host's logger is made only where it has to say something. */
export async function adopt(
  run: BegunRun,
  payload: unknown,
  maxAttempts: number,
  host: { readonly logger: Logger },
): Promise<string> {
  const tagged = runIdInTags(run.tags)
  if (tagged !== null && !run.isReplay) return tagged
  const id = derivedRunId(run.id)
  const known = readFacts(metadata.current())
  if (known?.id === id) return id
  const facts: RunFacts = {
    id,
    organization: known?.organization ?? null,
    tenantAs: known?.tenantAs ?? null,
    // What it repeats had them.
    parent: null,
    by: run.isReplay ? { kind: 'replay', ref: tagged } : { kind: 'app', ref: 'Trigger.dev' },
    key: null,
    replayOf: run.isReplay ? tagged : null,
    priority: run.priority ?? 0,
    maxAttempts,
    trace: null,
  }
  metadata.set(factsKey, { ...facts })
  await metadata.flush()
  const tenantId = tenantInPayload(payload)
  const missing = tenantInTags(run.tags) === null && tenantId !== null ? [tenantTag(tenantId)] : []
  try {
    await tags.add([runTag(id), ...missing])
  } catch (error) {
    const lacking = missing.length > 0 ? 'by its id or its tenant' : 'by its id'
    host.logger.warn(
      { err: error, run: id, triggerRun: run.id },
      `A run of Trigger.dev's dashboard could not be tagged: it runs, and is not found ${lacking}`,
    )
  }
  return id
}
