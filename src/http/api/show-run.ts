/** A run as whoever asks may see it: the one way out for payloads and outputs. */
import type { z } from '@hono/zod-openapi'
import { can } from '../../auth/index.ts'
import type { RunProgress } from '../../runs/journal/progress.ts'
import type { RunLogLine, RunLogPage } from '../../runs/journal/read-lines.ts'
import type { JsonValue } from '../../task/json.ts'
import type { Attempt, Run } from '../../task/run.ts'
import type { ApiContext } from './env.ts'
import type { attemptSchema, logLineSchema, progressSchema, runSchema } from './run-schemas.ts'

const masked = '[masked]'

export function showRun(context: ApiContext, run: Run): z.input<typeof runSchema> {
  const opened = can(context.get('principal'), 'payload:read', run.tenantId)
  return {
    id: run.id,
    taskId: run.taskId,
    tenantId: run.tenantId,
    state: run.state,
    attempt: run.attempt,
    maxAttempts: run.maxAttempts,
    priority: run.priority,
    tags: [...run.tags],
    payload: opened ? run.payload : maskPayload(run.payload),
    output: opened ? run.output : maskOutput(run.output),
    error: run.error,
    fingerprint: run.fingerprint,
    parentRunId: run.parentRunId,
    triggeredBy: run.triggeredBy,
    replayOf: run.replayOf,
    idempotencyKey: run.idempotencyKey,
    traceparent: run.traceparent,
    createdAt: run.createdAt.toISOString(),
    runAt: run.runAt.toISOString(),
    startedAt: run.startedAt?.toISOString() ?? null,
    finishedAt: run.finishedAt?.toISOString() ?? null,
    worker: run.worker,
    credentials: { ...run.credentials },
  }
}

export function showAttempt(attempt: Attempt): z.input<typeof attemptSchema> {
  return {
    attempt: attempt.attempt,
    result: attempt.result,
    error: attempt.error,
    fingerprint: attempt.fingerprint,
    startedAt: attempt.startedAt.toISOString(),
    finishedAt: attempt.finishedAt.toISOString(),
    worker: attempt.worker,
  }
}

export function showProgress(progress: RunProgress): z.input<typeof progressSchema> {
  const { attempt, fraction, current, total, message, at } = progress
  return { attempt, fraction, current, total, message, at: at.toISOString() }
}

export function showLine(line: RunLogLine): z.input<typeof logLineSchema> {
  const { seq, attempt, level, at, message, fields } = line
  return { seq, attempt, level, at: at.toISOString(), message, fields }
}

export function showLines({ lines, next, written }: RunLogPage) {
  return { lines: lines.map(showLine), next, written }
}

/** What is marked in the schema is not known here yet, so everything but the tenant is masked. */
function maskPayload(payload: JsonValue): JsonValue {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return maskOutput(payload)
  return Object.fromEntries(
    Object.entries(payload).map(([key, value]) => [key, key === 'tenantId' ? value : masked]),
  )
}

/** A task declares no schema for what it returns, so nobody can say what in it is whose. */
function maskOutput(output: JsonValue): JsonValue {
  return output === null ? null : masked
}
