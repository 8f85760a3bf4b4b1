/**
 * What an attempt came to, and the one place that decides what a thrown error means.
 *
 * | thrown | outcome |
 * |---|---|
 * | InvalidPayloadError, AbortTaskError, UnknownTenantError | failed now |
 * | snooze(), RateLimitedError | postponed, no attempt spent |
 * | TenantSuspendedError | held until the tenant is resumed, no attempt spent |
 * | what a service's client throws | task/services.ts: held, or failed now, or by the retry rule |
 * | timeout | retry by the rule, then failed |
 * | cancel | cancelled |
 * | the worker stops | handed back at once, no attempt spent |
 * | the worker lost the run | abandoned: somebody else has it |
 * | anything else | retry by the rule, then failed |
 */

import { cleanText } from '../clean-text.ts'
import {
  AbortTaskError,
  InvalidPayloadError,
  InvalidTenantSlugError,
  RateLimitedError,
  RunCancelledError,
  RunLostError,
  RunTimeoutError,
  SnoozeError,
  TenantSuspendedError,
  UnknownTenantError,
  WorkerStoppingError,
} from '../errors.ts'
import { type JsonValue, type RunError, storableError, storableOutput } from './json.ts'
import { type RetryRule, retryDelay } from './retry.ts'

export type Outcome =
  | { kind: 'completed'; output: JsonValue }
  | { kind: 'retry'; delayMs: number; error: RunError }
  | { kind: 'failed'; error: RunError }
  | { kind: 'cancelled' }
  | { kind: 'postponed'; delayMs: number; reason: RunError }
  /**
   * `by` is `tenant`, or the service that is held. `until`: when the hold ends by itself, if it does. `begun`: the run had
   * begun its work, so it does not expire any more.
   */
  | { kind: 'held'; by: string; until: Date | null; begun: boolean; reason: RunError }
  | { kind: 'abandoned' }

/** No service has this name. */
export const heldByTenant = 'tenant'

export function completed(output: unknown): Outcome {
  return { kind: 'completed', output: storableOutput(output) }
}

export function readOutcome(
  value: unknown,
  signal: AbortSignal,
  attempt: { attempt: number; maxAttempts: number },
  rule: RetryRule,
): Outcome {
  const thrown = legible(value)
  // When the signal aborted, its reason is the cause and whatever `run` threw is the echo.
  const cause: unknown = signal.aborted ? signal.reason : thrown
  if (cause instanceof RunLostError) return { kind: 'abandoned' }
  if (cause instanceof RunCancelledError) return { kind: 'cancelled' }
  if (cause instanceof WorkerStoppingError) return postponed(0, cause)
  if (cause instanceof RunTimeoutError) return retryOrFail(cause, attempt, rule)
  if (thrown instanceof SnoozeError) return postponed(waitOf(thrown.delayMs, rule), thrown)
  if (thrown instanceof RateLimitedError) return postponed(waitOf(thrown.retryAfterMs, rule), thrown)
  if (thrown instanceof TenantSuspendedError) return held(heldByTenant, null, thrown)
  if (isFinalError(thrown)) return { kind: 'failed', error: storableError(thrown) }
  return retryOrFail(thrown, attempt, rule)
}

/** `instanceof` asks a proxy for its prototype, and a revoked one throws. */
function legible(thrown: unknown): unknown {
  try {
    Reflect.getPrototypeOf(Object(thrown))
    return thrown
  } catch {
    return new Error('The task threw a value that cannot be read.')
  }
}

function isFinalError(thrown: unknown): boolean {
  return (
    thrown instanceof InvalidPayloadError ||
    thrown instanceof AbortTaskError ||
    thrown instanceof UnknownTenantError ||
    thrown instanceof InvalidTenantSlugError
  )
}

function retryOrFail(
  thrown: unknown,
  { attempt, maxAttempts }: { attempt: number; maxAttempts: number },
  rule: RetryRule,
): Outcome {
  const error = storableError(thrown)
  if (attempt >= maxAttempts) return { kind: 'failed', error }
  return { kind: 'retry', delayMs: retryDelay(rule, attempt), error }
}

const longestWaitMs = 365 * 86_400_000

/**
 * A delay that came from outside may be anything: a Retry-After that is a date reads as NaN. What is no number waits as
 * long as a first retry would; nothing waits longer than a year.
 */
function waitOf(delayMs: unknown, rule: RetryRule): number {
  if (typeof delayMs !== 'number' || Number.isNaN(delayMs)) return rule.minDelayMs
  return Math.round(Math.min(longestWaitMs, Math.max(0, delayMs)))
}

/** Whatever the retry rule says; `code` is the provider's own. */
export function failedNow(thrown: unknown, code: string): Outcome {
  return { kind: 'failed', error: { ...storableError(thrown), code: cleanText(code, 200) } }
}

export function held(by: string, until: Date | null, reason: Error, begun = false): Outcome {
  return { kind: 'held', by, until, begun, reason: withoutStack(reason) }
}

export function postponed(delayMs: number, reason: Error): Outcome {
  return { kind: 'postponed', delayMs, reason: withoutStack(reason) }
}

/** A reason to wait is no failure; its stack says nothing. */
function withoutStack(reason: Error): RunError {
  return { ...storableError(reason), stack: null }
}
