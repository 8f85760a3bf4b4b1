/** A run in memory, and how it is shown. Its life is in queue.ts. */
import type { JsonValue, RunError } from '../../task/json.ts'
import type { Attempt, FinalState, Run, RunRequest, RunState } from '../../task/run.ts'
import type { CredentialVersions } from '../../task/services.ts'

export interface InlineRun {
  readonly request: RunRequest
  /** Its place in the order of arrival. */
  readonly number: number
  /** `waiting` is every open state but `running`; stateOf tells which. */
  state: 'waiting' | 'running' | FinalState
  /** Attempts that count: the one that runs included, those that were handed back not. */
  attempt: number
  /** All times are milliseconds since 1970. */
  startAt: number
  /** What it waits for: `tenant`, or a service. */
  heldBy: string | null
  expiresAt: number | null
  output: JsonValue
  error: RunError | null
  fingerprint: string | null
  readonly createdAt: number
  startedAt: number | null
  finishedAt: number | null
  worker: string | null
  credentials: CredentialVersions
  readonly attempts: Attempt[]
  abort: AbortController
}

/** When a run starts that is held for no certain time: never. Releasing it moves it up. */
export const heldUntil = Date.parse('9999-01-01T00:00:00Z')

export function createRun(request: RunRequest, number: number, now: number): InlineRun {
  const startAt = startOf(request, now)
  return {
    request,
    number,
    state: 'waiting',
    attempt: 0,
    startAt,
    heldBy: null,
    expiresAt: request.ttlMs === null ? null : startAt + request.ttlMs,
    output: null,
    error: null,
    fingerprint: null,
    createdAt: now,
    startedAt: null,
    finishedAt: null,
    worker: null,
    credentials: {},
    attempts: [],
    abort: new AbortController(),
  }
}

/** `runAt` was read off the clock on the wall, which a test's clock may be ahead of. */
export function startOf({ runAt, delayMs }: Pick<RunRequest, 'runAt' | 'delayMs'>, now: number): number {
  return now + (runAt ? runAt.getTime() - Date.now() : delayMs)
}

export function stateOf(run: InlineRun, now: number): RunState {
  if (run.state !== 'waiting') return run.state
  if (run.heldBy !== null && run.startAt > now) return 'held'
  if (run.attempt > 0) return 'retrying'
  if (hasLapsed(run, now)) return 'expired'
  return run.startAt <= now ? 'queued' : 'scheduled'
}

/** Only a run that has never started expires. */
export function hasLapsed(run: InlineRun, now: number): boolean {
  return run.attempt === 0 && run.expiresAt !== null && run.expiresAt < now
}

/** A copy: what a caller does with it changes nothing here. */
export function toRun(run: InlineRun, now: number): Run {
  const { request } = run
  return {
    id: request.id,
    taskId: request.taskId,
    tenantId: request.tenantId,
    state: stateOf(run, now),
    attempt: run.attempt,
    maxAttempts: request.maxAttempts,
    priority: request.priority,
    tags: [...request.tags],
    payload: structuredClone(request.input),
    output: structuredClone(run.output),
    error: run.error && { ...run.error },
    fingerprint: run.error && run.fingerprint,
    parentRunId: request.parentRunId,
    triggeredBy: { ...request.triggeredBy },
    replayOf: request.replayOf,
    idempotencyKey: request.idempotency?.key ?? null,
    traceparent: request.trace?.traceparent ?? null,
    createdAt: new Date(run.createdAt),
    runAt: new Date(run.startAt),
    startedAt: run.startedAt === null ? null : new Date(run.startedAt),
    finishedAt: run.finishedAt === null ? null : new Date(run.finishedAt),
    worker: run.worker,
    credentials: { ...run.credentials },
  }
}
