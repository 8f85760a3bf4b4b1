/** How a run is asked for at Trigger.dev. */
import { createHash } from 'node:crypto'
import type { JsonValue } from '../../task/json.ts'
import type { RunRequest } from '../../task/run.ts'
import type { Start } from '../engine.ts'
import { factsOf } from './run-facts.ts'
import { tagsOf } from './tags.ts'

export interface TriggerCall {
  /** Of the task. */
  id: string
  /** The platform's. */
  runId: string
  payload: JsonValue
  options: {
    concurrencyKey: string
    tags: string[]
    metadata: ReturnType<typeof factsOf>
    maxAttempts: number
    idempotencyKey: string
    idempotencyKeyTTL: string
    delay?: string | Date
    ttl?: number
    priority?: number
  }
}

/** As long as somebody may still try to send the same run again. */
const ownKeySeconds = 86_400

/** The caller's input goes as it is: `execute` parses it, once. */
export function toCall(request: RunRequest): TriggerCall {
  const { id: runId, taskId, tenantId, input, idempotency, maxAttempts, ttlMs, priority } = request
  const delay = toDelay(request)
  return {
    id: taskId,
    runId,
    payload: input,
    options: {
      concurrencyKey: tenantId,
      tags: tagsOf(request),
      metadata: factsOf(request),
      maxAttempts,
      idempotencyKey: idempotencyKeyOf(request),
      idempotencyKeyTTL: `${idempotency ? toSeconds(idempotency.ttlMs) : ownKeySeconds}s`,
      ...(delay !== null && { delay }),
      ...(ttlMs !== null && { ttl: toSeconds(ttlMs) }),
      // Seconds by which it goes before runs that came earlier. Trigger.dev would not let one below zero start at all
      // for as long, so those queue as if they were zero.
      ...(priority > 0 && { priority }),
    },
  }
}

export function idempotencyKeyOf(request: RunRequest): string {
  return request.idempotency ? callersKey(request, request.idempotency.key) : ownKey(request)
}

/** 64 characters: the SDK takes it for a finished key and mixes no parent run into it. */
function callersKey({ taskId, tenantId }: RunRequest, key: string): string {
  return sha256(JSON.stringify([tenantId, taskId, key]))
}

/** A run without a key has one of its own, so that it is one run however often it has to be sent. */
function ownKey({ id }: RunRequest): string {
  return sha256(`run:${id}`)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Whole seconds are left to Trigger.dev's clock; it knows no finer ones, but it knows times. Null: at once. */
export function toDelay({ runAt, delayMs }: Start): string | Date | null {
  if (runAt) return runAt.getTime() > Date.now() ? runAt : null
  if (delayMs === 0) return null
  return delayMs % 1_000 === 0 ? `${delayMs / 1_000}s` : new Date(Date.now() + delayMs)
}

function toSeconds(ms: number): number {
  return Math.ceil(ms / 1_000)
}
