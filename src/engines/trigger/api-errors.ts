/**
 * What went wrong between us and Trigger.dev, as an error of the platform, and what may be done about it. The SDK's own
 * errors carry requests, answers and headers along; none of that goes further.
 */
import {
  ConfigError,
  JobsError,
  RateLimitedError,
  TriggerRefusedError,
  TriggerUnavailableError,
} from '../../errors.ts'
import { redact } from '../../redact.ts'

export interface ApiFailure {
  error: JobsError
  /** The same request may be made again. */
  again: boolean
  /** Not before this long; null: it is not said. */
  waitMs: number | null
  /** What was asked for may have been done all the same. */
  mayBeDone: boolean
}

/** What the SDK's errors have in common; its classes are not exported by `@trigger.dev/sdk` all together. */
interface ApiError {
  status: number | undefined
  message: string
  headers: Record<string, string> | undefined
}

/** `what` completes "Trigger.dev refused ..." and "could not be reached ...": `to trigger orders/x`. */
export function readApiFailure(thrown: unknown, what: string): ApiFailure {
  const failure = readFailure(thrown, what)
  const error = innermost(thrown)
  // It may say so itself, whatever the status.
  const isToldNotTo = isApiError(error) && error.headers?.['x-should-retry'] === 'false'
  return isToldNotTo ? { ...failure, again: false } : failure
}

function readFailure(thrown: unknown, what: string): ApiFailure {
  if (thrown instanceof JobsError) return ofCallInside(thrown)
  const error = innermost(thrown)
  if (isNoKey(error)) return final(noKey())
  if (error instanceof Error && error.name === 'BatchNotSealedError') {
    return passing(new TriggerUnavailableError(what, 'it did not get all of the batch'))
  }
  // Not an answer of its API: the SDK could not read one, or could not send.
  if (!isApiError(error)) return final(new TriggerUnavailableError(what, 'its answer cannot be read'), true)
  const { status, message, headers } = error
  if (status === undefined) return passing(new TriggerUnavailableError(what, 'the connection failed'))
  if (status === 200) {
    return final(new TriggerUnavailableError(what, 'its answer is not what its API answers'), true)
  }
  if (status === 401 || status === 403) {
    return final(new TriggerRefusedError(what, status, 'it does not take the key in TRIGGER_SECRET_KEY.'))
  }
  if (status === 429) return limited(what, headers ?? {})
  if (status === 408 || status === 409 || status >= 500) {
    return passing(new TriggerUnavailableError(what, `it answers HTTP ${status}`))
  }
  return final(new TriggerRefusedError(what, status, shorten(message)))
}

/** No answer came in time. */
export function noAnswer(what: string, timeoutMs: number): ApiFailure {
  return passing(new TriggerUnavailableError(what, `no answer in ${timeoutMs} ms`))
}

/** Payload, options, size. What else is refused lies with a key, an address or a plan, and may be taken another day. */
const statusesOfRequests: readonly number[] = [400, 413, 422]

/** The run itself is why; it will not be taken another day. */
export function isRefusedForGood(error: unknown): error is TriggerRefusedError {
  return error instanceof TriggerRefusedError && statusesOfRequests.includes(error.status)
}

export function isNotFound(thrown: unknown): boolean {
  return isApiError(thrown) && thrown.status === 404
}

/** What is asked does not fit the state of the run. */
export function isBadRequest(thrown: unknown): boolean {
  return isApiError(thrown) && (thrown.status === 400 || thrown.status === 422)
}

export function isNoKey(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'ApiClientMissingError'
}

export function noKey(): ConfigError {
  return new ConfigError(
    'JOBS_ENGINE=trigger.dev needs TRIGGER_SECRET_KEY, the secret key of an environment of your project (tr_dev_..., tr_prod_...).',
  )
}

/** A call looked for something by another call. */
function ofCallInside(error: JobsError): ApiFailure {
  if (error instanceof RateLimitedError) return { ...passing(error), waitMs: error.retryAfterMs }
  return error instanceof TriggerUnavailableError ? passing(error) : final(error)
}

function passing(error: JobsError): ApiFailure {
  return { error, again: true, waitMs: null, mayBeDone: true }
}

function final(error: JobsError, mayBeDone = false): ApiFailure {
  return { error, again: false, waitMs: null, mayBeDone }
}

/** Its limits are those of a minute at most, where it does not say how long. */
const usualLimitMs = 60_000

/** It looks at its limits before it looks at anything else, so nothing has been done. */
function limited(what: string, headers: Record<string, string>): ApiFailure {
  const waitMs = readWait(headers)
  const error = new RateLimitedError(
    `Trigger.dev was not asked ${what}: it takes no more requests ${
      waitMs === null ? 'for now' : `for another ${Math.ceil(waitMs / 1_000)} s`
    } (HTTP 429). Ask again then.`,
    waitMs ?? usualLimitMs,
  )
  return { error, again: true, waitMs, mayBeDone: false }
}

/** `x-ratelimit-reset` is a time in milliseconds, `retry-after` a number of seconds. */
function readWait(headers: Record<string, string>): number | null {
  const resetAt = Number.parseInt(headers['x-ratelimit-reset'] ?? '', 10)
  if (Number.isFinite(resetAt)) return Math.max(0, resetAt - Date.now())
  const seconds = Number.parseInt(headers['retry-after'] ?? '', 10)
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1_000) : null
}

/** A batch wraps what its requests failed with. */
function innermost(thrown: unknown): unknown {
  return thrown instanceof Error && thrown.name === 'BatchTriggerError' && thrown.cause !== undefined
    ? thrown.cause
    : thrown
}

function isApiError(thrown: unknown): thrown is Error & ApiError {
  return thrown instanceof Error && thrown.name === 'TriggerApiError'
}

const longest = 300

function shorten(text: string): string {
  const clean = redact(text).replace(/\s+/g, ' ').trim()
  return clean.length > longest ? `${clean.slice(0, longest)}…` : clean
}
