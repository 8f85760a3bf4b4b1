/**
 * What this process has triggered. Trigger.dev's lists are some seconds behind its runs, the runs of a batch come to be
 * after it was accepted, and those of a transaction after it has committed; who has just triggered a run must find it all the same.
 */
import { LRUCache } from 'lru-cache'
import type { Run, RunRequest } from '../../task/run.ts'

/** Without the payload, which may be large. */
type Accepted = Omit<RunRequest, 'input'> & { acceptedAt: Date }

const rememberedIds = 100_000
const rememberedRequests = 10_000
/** A batch that has made no run by then has lost it. */
const acceptedForMs = 120_000

export class KnownRuns {
  readonly #triggerIds = new LRUCache<string, string>({ max: rememberedIds })
  readonly #accepted = new LRUCache<string, Accepted>({ max: rememberedRequests, ttl: acceptedForMs })

  /** Trigger.dev's id of the run, where it is known. */
  triggerIdOf(runId: string): string | undefined {
    return this.#triggerIds.get(runId)
  }

  /** A run may be known by more ids than one: an idempotency key led to it after its id had been told. */
  learn(runId: string, triggerId: string): void {
    this.#triggerIds.set(runId, triggerId)
  }

  accepted({ input: _, ...request }: RunRequest): void {
    this.#accepted.set(request.id, { ...request, acceptedAt: new Date() })
  }

  /** It will not come. */
  lost(runId: string): void {
    this.#accepted.delete(runId)
  }

  /** A run that was accepted and is not to be seen yet. */
  unseen(runId: string): Run | null {
    const request = this.#accepted.get(runId)
    return request ? asQueued(request) : null
  }
}

function asQueued({ acceptedAt, delayMs, runAt, idempotency, trace, ...request }: Accepted): Run {
  const startAt = runAt ?? new Date(acceptedAt.getTime() + delayMs)
  return {
    id: request.id,
    taskId: request.taskId,
    tenantId: request.tenantId,
    state: startAt.getTime() > Date.now() ? 'scheduled' : 'queued',
    attempt: 0,
    maxAttempts: request.maxAttempts,
    priority: request.priority,
    tags: [...request.tags],
    payload: null,
    output: null,
    error: null,
    fingerprint: null,
    parentRunId: request.parentRunId,
    triggeredBy: request.triggeredBy,
    replayOf: request.replayOf,
    idempotencyKey: idempotency?.key ?? null,
    traceparent: trace?.traceparent ?? null,
    createdAt: acceptedAt,
    runAt: startAt,
    startedAt: null,
    finishedAt: null,
    worker: null,
    credentials: {},
  }
}
