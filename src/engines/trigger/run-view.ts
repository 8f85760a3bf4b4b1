/** A run of Trigger.dev as a run of the platform. */
import type { JsonValue, RunError } from '../../task/json.ts'
import type { Attempt, Run, RunState } from '../../task/run.ts'
import type { ApiListedRun, ApiRun } from './api.ts'
import { readAttemptFacts } from './attempt-facts.ts'
import { readRunError } from './run-error.ts'
import { type RunFacts, readFacts } from './run-facts.ts'
import { derivedRunId, runIdInTags } from './run-id.ts'
import { toRunState } from './states.ts'
import { withoutOurs } from './tags.ts'
import { readWaitingNote, type WaitingNote } from './waiting-note.ts'

/** What is known of a run: all of it, or what a list tells where the run itself cannot be read. */
export type SeenRun = Pick<ApiRun, keyof ApiListedRun & keyof ApiRun> &
  Partial<Pick<ApiRun, 'payload' | 'output' | 'error' | 'attemptCount'>> & {
    /** Why it cannot be read. */
    unreadable?: RunError
  }

export function runIdOf(run: Pick<SeenRun, 'id' | 'tags' | 'metadata'>): string {
  return readFacts(run.metadata)?.id ?? runIdInTags(run.tags) ?? derivedRunId(run.id)
}

/** `lastFailed`: the last attempt that is recorded as failed. */
export function toRun(run: SeenRun, tenantId: string, lastFailed: Attempt | null): Run {
  const facts = readFacts(run.metadata)
  const waiting = readWaitingNote(run.metadata)
  const attempts = run.attemptCount ?? (run.startedAt ? (lastFailed?.attempt ?? 1) : 0)
  const failed = lastFailed?.attempt === attempts ? lastFailed : null
  const failedLast = failed?.result === 'retry'
  const state = toRunState({ status: run.status, attempts, waiting, failedLast })
  const waits = waiting !== null && waiting.state === state
  return {
    id: runIdOf(run),
    taskId: run.taskIdentifier,
    tenantId,
    state,
    // An attempt that has been handed back to wait does not count.
    attempt: waits ? attempts - 1 : attempts,
    ...described(facts),
    tags: withoutOurs(run.tags),
    payload: asJson(run.payload),
    output: state === 'completed' ? asJson(run.output) : null,
    fingerprint: failed?.fingerprint ?? null,
    error: run.unreadable ?? errorOf(run, state, waits ? waiting : null, failed),
    createdAt: run.createdAt,
    runAt: startOf(run, waits ? waiting : null),
    startedAt: waits ? null : (run.startedAt ?? null),
    finishedAt: run.finishedAt ?? run.expiredAt ?? null,
    ...readAttemptFacts(run.metadata),
  }
}

function described(
  facts: RunFacts | null,
): Pick<
  Run,
  'maxAttempts' | 'priority' | 'parentRunId' | 'triggeredBy' | 'replayOf' | 'idempotencyKey' | 'traceparent'
> {
  return {
    maxAttempts: facts?.maxAttempts ?? 0,
    priority: facts?.priority ?? 0,
    parentRunId: facts?.parent ?? null,
    triggeredBy: facts?.by ?? { kind: 'app', ref: null },
    replayOf: facts?.replayOf ?? null,
    idempotencyKey: facts?.key ?? null,
    traceparent: facts?.trace?.traceparent ?? null,
  }
}

function errorOf(
  run: SeenRun,
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

function startOf(run: SeenRun, waiting: WaitingNote | null): Date {
  const until = waiting?.until ? new Date(waiting.until) : null
  if (until && !Number.isNaN(until.getTime())) return until
  return run.delayedUntil ?? run.createdAt
}

/** It was JSON on its way here. */
function asJson(value: unknown): JsonValue {
  return value === undefined ? null : (value as JsonValue)
}
