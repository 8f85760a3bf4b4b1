/** A run of Trigger.dev as a run of the platform. */
import type { JsonValue, RunError } from '../../task/json.ts'
import type { Attempt, Run, RunState } from '../../task/run.ts'
import type { ApiRun } from './api.ts'
import { readRunError } from './run-error.ts'
import { type RunFacts, readFacts } from './run-facts.ts'
import { derivedRunId, runIdInTags } from './run-id.ts'
import { toRunState } from './states.ts'
import { tenantInTags, withoutOurs } from './tags.ts'
import { readWaitingNote, type WaitingNote } from './waiting-note.ts'

/** Null: none of ours, for it belongs to no tenant. */
export function tenantOf(run: Pick<ApiRun, 'tags'> & { payload?: unknown }): string | null {
  const tagged = tenantInTags(run.tags)
  if (tagged !== null) return tagged
  const { payload } = run
  // A run that somebody started in the dashboard.
  const given = typeof payload === 'object' && payload !== null && 'tenantId' in payload && payload.tenantId
  return typeof given === 'string' ? given : null
}

export function runIdOf(run: Pick<ApiRun, 'id' | 'tags' | 'metadata'>): string {
  return readFacts(run.metadata)?.id ?? runIdInTags(run.tags) ?? derivedRunId(run.id)
}

/** `lastFailed`: the last attempt that is recorded as failed. */
export function toRun(run: ApiRun, tenantId: string, lastFailed: Attempt | null): Run {
  const facts = readFacts(run.metadata)
  const waiting = readWaitingNote(run.metadata)
  const failed = lastFailed?.attempt === run.attemptCount ? lastFailed : null
  const failedLast = failed?.result === 'retry'
  const state = toRunState({ status: run.status, attempts: run.attemptCount, waiting, failedLast })
  const waits = waiting !== null && waiting.state === state
  return {
    id: runIdOf(run),
    taskId: run.taskIdentifier,
    tenantId,
    state,
    // An attempt that has been handed back to wait does not count.
    attempt: waits ? run.attemptCount - 1 : run.attemptCount,
    ...described(run, facts),
    tags: withoutOurs(run.tags),
    payload: asJson(run.payload),
    output: state === 'completed' ? asJson(run.output) : null,
    fingerprint: failed?.fingerprint ?? null,
    error: errorOf(run, state, waits ? waiting : null, failed),
    createdAt: run.createdAt,
    runAt: startOf(run, waits ? waiting : null),
    startedAt: waits ? null : (run.startedAt ?? null),
    finishedAt: run.finishedAt ?? run.expiredAt ?? null,
    worker: null,
    credentials: {},
  }
}

function described(
  run: ApiRun,
  facts: RunFacts | null,
): Pick<
  Run,
  'maxAttempts' | 'priority' | 'parentRunId' | 'triggeredBy' | 'replayOf' | 'idempotencyKey' | 'traceparent'
> {
  return {
    maxAttempts: facts?.maxAttempts ?? Math.max(1, run.attemptCount),
    priority: facts?.priority ?? 0,
    parentRunId: facts?.parent ?? null,
    triggeredBy: facts?.by ?? { kind: 'app', ref: null },
    replayOf: facts?.replayOf ?? null,
    idempotencyKey: facts?.key ?? null,
    traceparent: facts?.trace?.traceparent ?? null,
  }
}

function errorOf(
  run: ApiRun,
  state: RunState,
  waiting: WaitingNote | null,
  failed: Attempt | null,
): RunError | null {
  if (waiting) return waiting.reason
  if (state === 'retrying') return failed?.error ?? null
  if (state !== 'failed') return null
  if (run.status === 'FAILED') return failed?.error ?? (run.error ? readRunError(run.error) : null)
  // Trigger.dev ended it: whatever the attempt before failed with is not why.
  return {
    name: 'Error',
    message: `Trigger.dev ended the run: ${run.status}.`,
    stack: null,
    ...(run.error && readRunError(run.error)),
    code: run.status,
  }
}

function startOf(run: ApiRun, waiting: WaitingNote | null): Date {
  const until = waiting?.until ? new Date(waiting.until) : null
  if (until && !Number.isNaN(until.getTime())) return until
  return run.delayedUntil ?? run.createdAt
}

/** It was JSON on its way here. */
function asJson(value: unknown): JsonValue {
  return value === undefined ? null : (value as JsonValue)
}
