/**
 * Replaying: a new run of an old one's task and payload, or of an edited payload, by the task as it is defined now. The
 * new run names the old one, and goes the way of every other: a tenant that is suspended or held keeps it waiting. The
 * audit log says who and why.
 */
import { randomUUID } from 'node:crypto'
import { type Actor, recordAudit, theApp } from '../audit/audit.ts'
import type { Database } from '../db/database.ts'
import type { Engine } from '../engines/engine.ts'
import { InvalidPayloadError, InvalidTriggerOptionsError, RunStillOpenError } from '../errors.ts'
import { currentRun } from '../task/context.ts'
import type { AnyTask } from '../task/define.ts'
import type { Dispatcher } from '../task/dispatcher.ts'
import type { JsonValue } from '../task/json.ts'
import { acceptPayload } from '../task/payload.ts'
import { isFinal, type Run, type RunHandle, type RunRequest } from '../task/run.ts'

export interface ReplayOptions {
  /** Instead of the old run's, whole; its `tenantId` must stay. */
  payload?: Record<string, unknown>
  /** Why, for the audit log. */
  reason?: string
  /** Who, for the audit log; by default the app itself. */
  by?: Actor
}

export interface ReplayDependencies {
  /** Throws where there is no such run. */
  find(runId: string): Promise<Run>
  database: Database
  engine: Engine
  dispatcher: Dispatcher
}

export async function replayRun(
  dependencies: ReplayDependencies,
  runId: string,
  options: ReplayOptions,
): Promise<RunHandle> {
  checkOptions(options)
  const { find, dispatcher } = dependencies
  const old = await find(runId)
  if (!isFinal(old.state)) throw new RunStillOpenError(runId, old.state)
  const task = (await dispatcher.registry()).get(old.taskId)
  // Null is an edited payload as well; no task takes it.
  const payload = options.payload === undefined ? old.payload : options.payload
  const input = await acceptReplay(task, old, payload, dispatcher)
  return await enqueueAudited(toReplayRequest(task, old, input, randomUUID()), old, options, dependencies)
}

/** Where the engine is in the database, the new run and the entry commit together. */
async function enqueueAudited(
  request: RunRequest,
  old: Run,
  { payload, reason, by = theApp }: ReplayOptions,
  { database, engine, dispatcher }: ReplayDependencies,
): Promise<RunHandle> {
  const replay = async (): Promise<RunHandle> => {
    const [handle] = await dispatcher.enqueue([request])
    await recordAudit(database, {
      actor: by,
      action: 'run.replay',
      tenantId: old.tenantId,
      subject: handle!.id,
      reason: reason ?? null,
      details: { replayOf: old.id, edited: payload !== undefined },
    })
    return handle!
  }
  if (!engine.enqueuesInTransaction) return await replay()
  return await database.transaction(replay)
}

export function toReplayRequest(task: AnyTask, old: Run, input: JsonValue, id: string): RunRequest {
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
    // A run of Trigger.dev's dashboard may not say.
    maxAttempts: old.maxAttempts || task.retry.maxAttempts,
    ...(old.traceparent !== null && { trace: { follows: old.traceparent } }),
  }
}

/** The payload as it is to be queued. @throws InvalidPayloadError. */
export async function acceptReplay(
  task: AnyTask,
  old: Run,
  payload: unknown,
  dispatcher: Dispatcher,
): Promise<JsonValue> {
  const { tenantId, input } = await acceptPayload(task.id, task.schema, payload, dispatcher.maxPayloadBytes)
  if (tenantId === old.tenantId) return input
  throw new InvalidPayloadError(task.id, [
    { path: 'tenantId', message: `must stay "${old.tenantId}": a replay belongs to the tenant of its run` },
  ])
}

function checkOptions(options: ReplayOptions): void {
  const isObject = typeof options === 'object' && options !== null
  const known = ['payload', 'reason', 'by']
  const unknown = isObject ? Object.keys(options).find((name) => !known.includes(name)) : undefined
  if (isObject && unknown === undefined) return
  throw new InvalidTriggerOptionsError(
    `These options cannot be used: a replay takes { ${known.join(', ')} }${unknown === undefined ? '' : `, not ${unknown}`}.`,
  )
}
