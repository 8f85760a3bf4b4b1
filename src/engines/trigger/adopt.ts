/**
 * A run that Trigger.dev's own dashboard made, or replayed there, has no id of the platform, or that of the run it
 * repeats. When it begins it is given its own, in its tags and its metadata, so that whoever reads runs finds it.
 */
import { metadata, tags } from '@trigger.dev/sdk'
import type { Logger } from 'pino'
import { factsKey, type RunFacts, readFacts } from './run-facts.ts'
import { derivedRunId, runIdInTags, runTag } from './run-id.ts'
import { tenantInTags, tenantTag } from './tags.ts'

export interface BegunRun {
  /** Trigger.dev's. */
  id: string
  tags: readonly string[]
  isReplay: boolean
  priority?: number | undefined
}

/** The platform's id of the run, the same in every attempt. */
export async function adopt(
  run: BegunRun,
  tenantId: string | null,
  maxAttempts: number,
  logger: Logger,
): Promise<string> {
  const tagged = runIdInTags(run.tags)
  if (tagged !== null && !run.isReplay) return tagged
  const id = derivedRunId(run.id)
  const known = readFacts(metadata.current())
  if (known?.id === id) return id
  const facts: RunFacts = {
    id,
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
  const missing = tenantInTags(run.tags) === null && tenantId !== null ? [tenantTag(tenantId)] : []
  try {
    await tags.add([runTag(id), ...missing])
  } catch (error) {
    logger.warn(
      { err: error, run: id },
      'A run of the dashboard could not be tagged; lists by tenant lack it',
    )
  }
  return id
}
