/**
 * What is done now and then for all, on Trigger.dev by the task that ticks. Runs that Trigger.dev has ended by itself, as
 * their process died, took too long or never began, have told nobody: their last attempt is put on record from outside.
 */
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import { addUpFailures } from '../../runs/failure-counts.ts'
import { deleteOutdated, type Retention } from '../../runs/retention.ts'
import { type JsonValue, readStoredError } from '../../task/json.ts'
import type { ApiListedRun, TriggerApi } from './api.ts'
import { inParallel } from './parallel.ts'
import { pageSize, type RunReader } from './read.ts'
import { recordEnd } from './record-attempt.ts'
import { runIdOf } from './run-view.ts'
import { toStatuses } from './states.ts'
import { tenantInTags } from './tags.ts'

/** Far more than end so in a minute; what is older than these was seen before. */
const pagesAtMost = 10
const callsAtOnce = 10
const longestAwayMs = 7 * 86_400_000

export interface KeepingUp {
  api: TriggerApi
  reader: RunReader
  database: Database
  retention: Retention
  logger: Logger
}

export async function keepUp({ api, reader, database, retention, logger }: KeepingUp): Promise<void> {
  // What ended longer ago may have been on record and be past its retention: it is not to come up again.
  const since = Date.now() - Math.min(longestAwayMs, retention.keepFailedMs / 2)
  let after: string | undefined
  for (let page = 0; page < pagesAtMost; page += 1) {
    const failed = { status: toStatuses(['failed']), limit: pageSize, ...(after && { after }) }
    const { data, hasMore } = await api.list(failed)
    const recent = data.filter(({ finishedAt }) => finishedAt && finishedAt.getTime() > since)
    const unrecorded = await unrecordedAmong(database, recent)
    await inParallel(unrecorded, callsAtOnce, async (triggerId) => {
      try {
        await recordEndOf(triggerId, reader, database)
      } catch (error) {
        logger.warn({ err: error, triggerRun: triggerId }, 'A failed run could not be recorded yet')
      }
    })
    after = data.at(-1)?.id
    if (unrecorded.length === 0 || !hasMore) break
  }
  await addUpFailures(database)
  await deleteOutdated(database, retention)
}

/**
 * Runs of tenants that are there, without a last attempt. Of two that Trigger.dev has made of one, the one that does
 * nothing is none. Index: the primary keys.
 */
const unrecordedSql = `
  SELECT ended.trigger_id AS "triggerId"
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[]) AS ended (trigger_id, run_id, tenant, created_at)
  JOIN public.organizations AS tenant ON tenant.slug = ended.tenant
    AND tenant.created_at < ended.created_at + interval '5 minutes'
  WHERE NOT EXISTS (
    SELECT FROM public.platform_attempts AS attempt WHERE attempt.run_id = ended.run_id AND attempt.result <> 'retry'
  ) AND NOT EXISTS (
    SELECT FROM public.platform_trigger_runs AS known
    WHERE known.run_id = ended.run_id AND known.trigger_id <> ended.trigger_id)`

async function unrecordedAmong(database: Database, runs: readonly ApiListedRun[]): Promise<string[]> {
  const { rows } = await database.query<{ triggerId: string }>(unrecordedSql, [
    runs.map(({ id }) => id),
    runs.map(runIdOf),
    runs.map(({ tags }) => tenantInTags(tags)),
    runs.map(({ createdAt }) => createdAt),
  ])
  return rows.map(({ triggerId }) => triggerId)
}

async function recordEndOf(triggerId: string, reader: RunReader, database: Database): Promise<void> {
  const run = await reader.getByTriggerId(triggerId)
  if (run?.state !== 'failed') return
  const { id: runId, attempt, taskId, tenantId } = run
  await recordEnd(database, {
    ...{ runId, attempt, taskId, tenantId },
    result: 'failed',
    error: readStoredError(run.error as JsonValue),
    startedAt: run.startedAt ?? run.createdAt,
    worker: run.worker ?? 'unknown',
  })
}
