/**
 * Trigger.dev waits for a run when it is asked for that run once more, by its idempotency key: the run is there, so
 * nothing is made. But Trigger.dev frees the key of a run that fails, and a caller's key may be a short one; then the
 * asking does make a run. That must not be the child a second time, so what is asked for is a stand-in: a run that does
 * nothing, belongs to no tenant, and leaves the key to whoever wants it.
 */
import type { RunRequest } from '../../task/run.ts'
import { idempotencyKeyOf } from './request.ts'

const mark = 'standsInFor'

export interface StandIn {
  id: string
  payload: { [mark]: string }
  options: { idempotencyKey: string; idempotencyKeyTTL: string; ttl: number; maxAttempts: number }
}

export function standInFor(request: RunRequest): StandIn {
  return {
    id: request.taskId,
    payload: { [mark]: request.id },
    options: {
      idempotencyKey: idempotencyKeyOf(request),
      idempotencyKeyTTL: '1s',
      // It is waited for: where there is no place to run in, it is over all the same.
      ttl: 1,
      maxAttempts: 1,
    },
  }
}

/** A payload of a task always has its tenant. */
export function isStandIn(input: unknown): boolean {
  return typeof input === 'object' && input !== null && mark in input && !('tenantId' in input)
}
