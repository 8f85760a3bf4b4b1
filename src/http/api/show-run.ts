/** A run as whoever asks may see it: the one way out for payloads and outputs. */
import type { z } from '@hono/zod-openapi'
import { can } from '../../auth/index.ts'
import type { RunCount } from '../../runs/counts.ts'
import type { RunProgress } from '../../runs/journal/progress.ts'
import type { RunLogLine, RunLogPage } from '../../runs/journal/read-lines.ts'
import { maskRun } from '../../runs/mask.ts'
import type { Attempt, Run } from '../../task/run.ts'
import { schemaOf } from '../../task/schema-of.ts'
import type { ApiContext } from './env.ts'
import type {
  attemptSchema,
  logLineSchema,
  progressSchema,
  runCountSchema,
  runSchema,
} from './run-schemas.ts'

export async function showRun(context: ApiContext, whole: Run): Promise<z.input<typeof runSchema>> {
  const run = await masked(context, whole)
  return {
    id: run.id,
    taskId: run.taskId,
    tenantId: run.tenantId,
    state: run.state,
    attempt: run.attempt,
    maxAttempts: run.maxAttempts,
    priority: run.priority,
    tags: [...run.tags],
    payload: run.payload,
    output: run.output,
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

/** What the schema marks is for those alone who may read it. */
async function masked(context: ApiContext, run: Run): Promise<Run> {
  if (can(context.get('principal'), 'payload:read', run.tenantId)) return run
  return maskRun(run, schemaOf(await context.get('platform').registry(), run.taskId))
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

export function showCount({ taskId, tenantId, state, runs }: RunCount): z.input<typeof runCountSchema> {
  return { taskId, tenantId, state, runs }
}

export function showLine(line: RunLogLine): z.input<typeof logLineSchema> {
  const { seq, attempt, level, at, message, fields } = line
  return { seq, attempt, level, at: at.toISOString(), message, fields }
}

export function showLines({ lines, next, written }: RunLogPage) {
  return { lines: lines.map(showLine), next, written }
}
