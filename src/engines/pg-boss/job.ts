/** How a run lies in a pg-boss job, in both directions. */
import type { JobInsert } from 'pg-boss'
import type { JsonValue } from '../../task/json.ts'
import type { RunRequest, TriggeredBy } from '../../task/run.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'

/** The partition that holds all our queues, named outright: planning and updating through the parent costs more. */
export const jobTable = 'pgboss.job_common'

/** The job's `data`. The payload is the caller's input, as it was accepted. */
export interface JobData {
  payload: JsonValue
  tags?: readonly string[]
  parent?: string
  /** Where it is no app that names nothing, and not just the parent. */
  by?: TriggeredBy
  replayOf?: string
  key?: string
  /** Milliseconds since 1970 after which a run that has never started does not start any more. */
  expiresAt?: number
  trace?: TraceCarrier
}

/** Rows can be changed by hand, and one that holds no such object must not spoil those that are read with it. */
export function readData(data: JsonValue): Partial<JobData> {
  return isObject(data) ? (data as Partial<JobData>) : {}
}

/** A held run waits until this time, which is never; resuming moves it up. Not 'infinity': pg-boss calculates with it. */
export const heldUntil = '9999-01-01T00:00:00Z'

/** The output of a run that is set aside for a service; `held` is a row of platform_holds. */
export const heldOutput = `jsonb_build_object('held', held.service, 'error', jsonb_build_object(
  'name', 'ServiceHeldError', 'code', 'SERVICE_HELD', 'message', held.service || ' is held: ' || held.message, 'stack', NULL))`

/** What holds a run that waits until then: `tenant`, or a service. A release that came before this knew only tenants. */
export const heldBy = `coalesce(output->>'held', 'tenant')`

export function toJob(request: RunRequest, now = Date.now()): JobInsert<JobData> {
  const startAt = request.runAt?.getTime() ?? now + request.delayMs
  return {
    id: request.id,
    data: toData(request, startAt),
    priority: request.priority,
    retryLimit: request.maxAttempts - 1,
    group: { id: request.tenantId },
    // A delay is left to the database's clock, the one that claiming goes by.
    ...(request.runAt ? { startAfter: request.runAt.toISOString() } : {}),
    ...(request.delayMs > 0 ? { startAfter: `${request.delayMs / 1000} seconds` } : {}),
  }
}

/** Only what is there: most runs have little of it, and every byte is written, read and moved with each. */
function toData(request: RunRequest, startAt: number): JobData {
  const data: JobData = { payload: request.input }
  const { tags, parentRunId, triggeredBy, replayOf, idempotency, ttlMs, trace } = request
  if (tags.length > 0) data.tags = tags
  if (parentRunId) data.parent = parentRunId
  if (!goesWithoutSaying(triggeredBy, parentRunId)) data.by = triggeredBy
  if (replayOf) data.replayOf = replayOf
  if (idempotency) data.key = idempotency.key
  if (ttlMs !== null) data.expiresAt = startAt + ttlMs
  if (trace) data.trace = trace
  return data
}

function goesWithoutSaying({ kind, ref }: TriggeredBy, parentRunId: string | null): boolean {
  return parentRunId === null ? kind === 'app' && ref === null : kind === 'run' && ref === parentRunId
}

/** To compare with `expiresAt`; as jsonb, which compares with whatever somebody may have written there by hand. */
export const nowMs = 'to_jsonb(extract(epoch FROM now()) * 1000)'

/** A run that has never started and may not any more; it ends when a worker comes to it. */
const lapsed = (job: string) =>
  `coalesce(${job}.state = 'created' AND ${job}.data->'expiresAt' < ${nowMs}, false)`

export const stateOf = (job: string) => `
  CASE
    WHEN ${job}.state < 'active' AND ${job}.start_after = '${heldUntil}' THEN 'held'
    WHEN ${job}.state = 'created' AND ${lapsed(job)} THEN 'expired'
    WHEN ${job}.state = 'created' AND ${job}.start_after <= now() THEN 'queued'
    WHEN ${job}.state = 'created' THEN 'scheduled'
    WHEN ${job}.state = 'retry' THEN 'retrying'
    WHEN ${job}.state = 'active' THEN 'running'
    WHEN ${job}.state = 'cancelled' AND ${job}.output->'expired' = 'true' THEN 'expired'
    ELSE ${job}.state::text
  END`

/** Our statements store `{ error }`; pg-boss's own backstop stores `{ value: { message } }`. */
export const errorOf = (job: string) => `
  CASE
    WHEN jsonb_typeof(${job}.output->'error') = 'object' THEN ${job}.output->'error'
    WHEN ${job}.output->'value' ? 'message' THEN jsonb_build_object(
      'name', 'Error', 'code', NULL, 'message', ${job}.output->'value'->>'message', 'stack', NULL)
  END`

const triggeredBy = (job: string) => `
  CASE
    WHEN ${job}.data->'by'->>'kind' IN ('app', 'schedule', 'replay', 'run') THEN ${job}.data->'by'->>'kind'
    WHEN ${job}.data ? 'parent' THEN 'run'
    ELSE 'app'
  END`

/** What of a run does not depend on how it goes. `data` may have been changed by hand, so nothing in it is relied on. */
const given = (job: string): Record<string, string> => ({
  id: `${job}.id`,
  task_id: `${job}.name`,
  tenant_id: `${job}.group_id`,
  payload: `${job}.data->'payload'`,
  tags: `CASE jsonb_typeof(${job}.data->'tags') WHEN 'array'
    THEN ARRAY(SELECT left(tag, 128) FROM jsonb_array_elements_text(${job}.data->'tags') AS tag) END`,
  priority: `${job}.priority`,
  max_attempts: `${job}.retry_limit + 1`,
  triggered_by: triggeredBy(job),
  triggered_ref: `left(CASE WHEN ${job}.data ? 'by' THEN ${job}.data->'by'->>'ref' ELSE ${job}.data->>'parent' END, 512)`,
  parent_run_id: `${job}.data->>'parent'`,
  replay_of: `left(${job}.data->>'replayOf', 512)`,
  idempotency_key: `${job}.data->>'key'`,
  traceparent: `${job}.data->'trace'->>'traceparent'`,
  created_at: `${job}.created_on`,
  run_at: `${job}.start_after`,
})

const select = (columns: Record<string, string>) =>
  Object.entries(columns)
    .map(([name, expression]) => `${expression} AS ${name}`)
    .join(', ')

/** The attempt that runs or ran last. */
export const attemptOf = (job: string): string =>
  `CASE WHEN ${job}.started_on IS NULL THEN ${job}.retry_count ELSE ${job}.retry_count + 1 END`

/** A job as a run, in the columns of a run row. */
export const jobAsRun = (job: string): string =>
  select({
    ...given(job),
    state: stateOf(job),
    output: `CASE WHEN ${job}.state = 'completed' THEN nullif(${job}.output, 'null') END`,
    error: `CASE WHEN ${job}.state <> 'completed' THEN ${errorOf(job)} END`,
    fingerprint: `CASE WHEN ${job}.state <> 'completed' THEN ${job}.output->'failure'->>'fingerprint' END`,
    attempt: attemptOf(job),
    started_at: `${job}.started_on`,
    finished_at: `${job}.completed_on`,
    worker: 'NULL::text',
    credentials: 'NULL::jsonb',
  })

/**
 * What RETURNING answers of a job that is deleted because its run has ended: the columns that history keeps
 * (runs/history.ts). `how` has those that the statement knows.
 */
export const endedJob = (
  job: string,
  how: Record<
    'state' | 'output' | 'error' | 'fingerprint' | 'attempt' | 'started_at' | 'worker' | 'credentials',
    string
  > & { finished_at?: string },
): string => select({ ...given(job), finished_at: 'now()', ...how, engine: `'pg-boss'` })

function isObject(value: JsonValue | undefined): value is { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
