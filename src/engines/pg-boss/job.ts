/** How a run lies in a pg-boss job, in both directions. */
import type { JobInsert } from 'pg-boss'
import type { JsonValue, RunError } from '../../task/json.ts'
import type { Run, RunRequest, RunState } from '../../task/run.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'

/** The partition that holds all our queues, named outright: planning and updating through the parent costs more. */
export const jobTable = 'pgboss.job_common'

/** The job's `data`. The payload is the caller's input, as it was accepted. */
export interface JobData {
  payload: JsonValue
  tags?: readonly string[]
  parent?: string
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
  const data: JobData = { payload: request.input }
  if (request.tags.length > 0) data.tags = request.tags
  if (request.parentRunId) data.parent = request.parentRunId
  if (request.replayOf) data.replayOf = request.replayOf
  if (request.idempotency) data.key = request.idempotency.key
  if (request.ttlMs !== null) data.expiresAt = startAt + request.ttlMs
  if (request.trace) data.trace = request.trace
  return {
    id: request.id,
    data,
    priority: request.priority,
    retryLimit: request.maxAttempts - 1,
    group: { id: request.tenantId },
    // A delay is left to the database's clock, the one that claiming goes by.
    ...(request.runAt ? { startAfter: request.runAt.toISOString() } : {}),
    ...(request.delayMs > 0 ? { startAfter: `${request.delayMs / 1000} seconds` } : {}),
  }
}

/** To compare with `expiresAt`; as jsonb, which compares with whatever somebody may have written there by hand. */
export const nowMs = 'to_jsonb(extract(epoch FROM now()) * 1000)'

/** What runColumns reads. */
export interface JobRow {
  id: string
  name: string
  group_id: string
  state: 'created' | 'retry' | 'active' | 'completed' | 'cancelled' | 'failed'
  data: JsonValue
  output: JsonValue
  priority: number
  retry_count: number
  retry_limit: number
  ready: boolean
  held: boolean
  lapsed: boolean
  start_after: Date
  created_on: Date
  started_on: Date | null
  completed_on: Date | null
}

export const runColumns = `
  id, name, group_id, state, data, output, priority, retry_count, retry_limit,
  start_after <= now() AS ready,
  start_after = '${heldUntil}' AS held,
  coalesce(state = 'created' AND data->'expiresAt' < ${nowMs}, false) AS lapsed,
  start_after, created_on, started_on, completed_on`

export function toRun(row: JobRow): Run {
  const state = readState(row)
  const { payload = null, tags = [], parent = null, replayOf = null, key = null, trace } = readData(row.data)
  return {
    id: row.id,
    taskId: row.name,
    tenantId: row.group_id,
    state,
    attempt: row.started_on ? row.retry_count + 1 : row.retry_count,
    maxAttempts: row.retry_limit + 1,
    priority: row.priority,
    tags,
    payload,
    output: state === 'completed' ? row.output : null,
    error: state === 'completed' ? null : readError(row.output),
    parentRunId: parent,
    replayOf,
    idempotencyKey: key,
    traceparent: trace?.traceparent ?? null,
    createdAt: row.created_on,
    runAt: row.start_after,
    startedAt: row.started_on,
    finishedAt: row.completed_on,
  }
}

function readState(row: JobRow): RunState {
  switch (row.state) {
    case 'created':
      if (row.held) return 'held'
      if (row.lapsed) return 'expired'
      return row.ready ? 'queued' : 'scheduled'
    case 'retry':
      return row.held ? 'held' : 'retrying'
    case 'active':
      return 'running'
    case 'cancelled':
      return isObject(row.output) && row.output.expired === true ? 'expired' : 'cancelled'
    default:
      return row.state
  }
}

/** Our statements store `{ error }`; pg-boss's own backstop stores `{ value: { message } }`. */
function readError(output: JsonValue): RunError | null {
  if (!isObject(output)) return null
  const { error, value } = output
  if (isObject(error)) return error as unknown as RunError
  if (isObject(value) && typeof value.message === 'string') {
    return { name: 'Error', code: null, message: value.message, stack: null }
  }
  return null
}

function isObject(value: JsonValue | undefined): value is { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
