/** A run as a row, with the columns of public.platform_runs, wherever it was read from. */
import type { JsonValue, RunError } from '../task/json.ts'
import type { Run, RunState, TriggerKind } from '../task/run.ts'

export interface RunRow {
  id: string
  task_id: string
  tenant_id: string
  state: RunState
  payload: JsonValue
  output: JsonValue
  error: RunError | null
  fingerprint: string | null
  tags: string[] | null
  priority: number
  attempt: number
  max_attempts: number
  triggered_by: TriggerKind
  triggered_ref: string | null
  parent_run_id: string | null
  replay_of: string | null
  idempotency_key: string | null
  traceparent: string | null
  created_at: Date
  run_at: Date
  started_at: Date | null
  finished_at: Date | null
  worker: string | null
  credentials: Record<string, string> | null
}

/** In this order, so that rows of several sources can stand in one answer. */
export const runColumns = [
  ...['id', 'task_id', 'tenant_id', 'state', 'payload', 'output', 'error', 'fingerprint', 'tags'],
  ...['priority', 'attempt', 'max_attempts', 'triggered_by', 'triggered_ref', 'parent_run_id', 'replay_of'],
  ...[
    'idempotency_key',
    'traceparent',
    'created_at',
    'run_at',
    'started_at',
    'finished_at',
    'worker',
    'credentials',
  ],
].join(', ')

export function toRun(row: RunRow): Run {
  return {
    id: row.id,
    taskId: row.task_id,
    tenantId: row.tenant_id,
    state: row.state,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    priority: row.priority,
    tags: row.tags ?? [],
    payload: row.payload,
    output: row.output,
    error: row.error,
    fingerprint: row.fingerprint,
    parentRunId: row.parent_run_id,
    triggeredBy: { kind: row.triggered_by, ref: row.triggered_ref },
    replayOf: row.replay_of,
    idempotencyKey: row.idempotency_key,
    traceparent: row.traceparent,
    createdAt: row.created_at,
    runAt: row.run_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    worker: row.worker,
    credentials: row.credentials ?? {},
  }
}
