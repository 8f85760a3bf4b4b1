/**
 * Replaying: a new run of an old one's task and payload, or of an edited payload, by the task as it is defined now. The
 * new run names the old one, and goes the way of every other: a tenant that is suspended or held keeps it waiting.
 */
import { randomUUID } from 'node:crypto'
import type { Engine } from '../engines/engine.ts'
import {
  InvalidPayloadError,
  InvalidTriggerOptionsError,
  RunStillOpenError,
  TenantMismatchError,
  UnknownRunError,
} from '../errors.ts'
import { currentRun } from '../task/context.ts'
import type { Dispatcher } from '../task/dispatcher.ts'
import type { JsonValue } from '../task/json.ts'
import { acceptPayload } from '../task/payload.ts'
import { isFinal, type Run, type RunHandle, type RunRequest } from '../task/run.ts'

export interface ReplayOptions {
  /** Instead of the old run's, whole; its `tenantId` must stay. */
  payload?: Record<string, unknown>
}

export async function replayRun(
  engine: Engine,
  dispatcher: Dispatcher,
  runId: string,
  options: ReplayOptions,
): Promise<RunHandle> {
  checkOptions(options)
  const old = await engine.get(runId)
  if (!old) throw new UnknownRunError(runId)
  if (!isFinal(old.state)) throw new RunStillOpenError(runId, old.state)
  const surrounding = dispatcher.currentTenant()
  if (surrounding !== null && surrounding !== old.tenantId) {
    throw new TenantMismatchError(surrounding, old.tenantId)
  }
  const input = await acceptReplay(old, options.payload ?? old.payload, dispatcher)
  const [handle] = await dispatcher.enqueue([toReplayRequest(old, input, randomUUID())])
  return handle!
}

export function toReplayRequest(old: Run, input: JsonValue, id: string): RunRequest {
  return {
    id,
    taskId: old.taskId,
    tenantId: old.tenantId,
    input,
    parentRunId: currentRun()?.runId ?? null,
    triggeredBy: { kind: 'replay', ref: old.id },
    replayOf: old.id,
    // Its key belongs to the old run, and so did its time to start and to expire.
    idempotency: null,
    delayMs: 0,
    runAt: null,
    ttlMs: null,
    priority: old.priority,
    tags: old.tags,
    maxAttempts: old.maxAttempts,
    ...(old.traceparent !== null && { trace: { follows: old.traceparent } }),
  }
}

/** The payload as it is to be queued. @throws UnknownTaskError, InvalidPayloadError. */
export async function acceptReplay(old: Run, payload: unknown, dispatcher: Dispatcher): Promise<JsonValue> {
  const task = (await dispatcher.registry()).get(old.taskId)
  const { tenantId, input } = await acceptPayload(task.id, task.schema, payload, dispatcher.maxPayloadBytes)
  if (tenantId === old.tenantId) return input
  throw new InvalidPayloadError(task.id, [
    { path: 'tenantId', message: `must stay "${old.tenantId}": a replay belongs to the tenant of its run` },
  ])
}

function checkOptions(options: ReplayOptions): void {
  const isObject = typeof options === 'object' && options !== null
  const unknown = isObject ? Object.keys(options).find((name) => name !== 'payload') : undefined
  if (isObject && unknown === undefined) return
  throw new InvalidTriggerOptionsError(
    `These options cannot be used: a replay takes { payload }${unknown === undefined ? '' : `, not ${unknown}`}.`,
  )
}
