/**
 * What is known of a run before Trigger.dev shows it. Its lists are some seconds behind its runs, the runs of a batch come
 * to be after it was accepted, and those of a transaction after it has committed; every process finds them all the same.
 */
import { LRUCache } from 'lru-cache'
import { describeFailure } from '../../runs/fingerprint.ts'
import type { Run } from '../../task/run.ts'
import type { KnownRun, Outbox } from './outbox.ts'
import { isUuid } from './run-id.ts'

const remembered = 100_000
/** A batch that has made no run by then has lost it. */
const unseenForMs = 600_000

export class KnownRuns {
  readonly #outbox: Outbox
  readonly #triggerIds = new LRUCache<string, string>({ max: remembered })

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  /** A run may be known by more ids than one: an idempotency key led to it after its id had been told. */
  learn(runId: string, triggerId: string): void {
    if (!this.#triggerIds.has(runId)) this.#triggerIds.set(runId, triggerId)
  }

  /** Trigger.dev's id of the run. Null: it has not got the run. Undefined: only its lists can tell. */
  async triggerIdOf(runId: string): Promise<string | null | undefined> {
    const learnt = this.#triggerIds.get(runId)
    if (learnt !== undefined) return learnt
    const known = await this.#outbox.find(runId)
    if (known === null) return undefined
    if (known.triggerId !== null) this.learn(runId, known.triggerId)
    return known.triggerId ?? (known.sentAt === null ? null : undefined)
  }

  /** Trigger.dev's lists have told. */
  async found(runId: string, triggerId: string): Promise<void> {
    this.learn(runId, triggerId)
    await this.#outbox.found(runId, triggerId)
  }

  /** A run that Trigger.dev does not show: on its way there, refused there, or in a batch of which nothing is seen yet. */
  async unseen(runId: string): Promise<Run | null> {
    const known = isUuid(runId) ? await this.#outbox.find(runId) : null
    if (!known?.request) return null
    const isLost = known.sentAt !== null && known.sentAt.getTime() < Date.now() - unseenForMs
    return isLost ? null : toRun(known, known.request)
  }
}

function toRun({ input, refused, createdAt }: KnownRun, request: NonNullable<KnownRun['request']>): Run {
  const startAt = request.runAt ?? new Date(createdAt.getTime() + request.delayMs)
  const waiting = startAt.getTime() > Date.now() ? 'scheduled' : 'queued'
  return {
    id: request.id,
    taskId: request.taskId,
    tenantId: request.tenantId,
    state: refused ? 'failed' : waiting,
    attempt: 0,
    maxAttempts: request.maxAttempts,
    priority: request.priority,
    tags: [...request.tags],
    payload: input,
    output: null,
    error: refused,
    fingerprint: refused && describeFailure(request.taskId, refused).fingerprint,
    parentRunId: request.parentRunId,
    triggeredBy: request.triggeredBy,
    replayOf: request.replayOf,
    idempotencyKey: request.idempotency?.key ?? null,
    traceparent: request.trace?.traceparent ?? null,
    createdAt,
    runAt: startAt,
    startedAt: null,
    finishedAt: null,
    worker: null,
    credentials: {},
  }
}
