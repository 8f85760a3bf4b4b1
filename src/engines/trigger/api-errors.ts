/**
 * What went wrong between us and Trigger.dev, as an error of the platform. The SDK's own errors carry requests, answers
 * and headers along; none of that goes further.
 */
import { ConfigError, type JobsError, TriggerRefusedError, TriggerUnavailableError } from '../../errors.ts'
import { redact } from '../../redact.ts'

/** What the SDK's errors have in common; its classes are not exported by `@trigger.dev/sdk` all together. */
interface ApiError {
  status: number | undefined
  message: string
}

/** `what` completes "Trigger.dev refused ..." and "could not be reached ...": `to trigger orders/x`. */
export function readApiError(thrown: unknown, what: string): JobsError {
  const error = innermost(thrown)
  if (error instanceof Error && error.name === 'ApiClientMissingError') return noKey()
  if (error instanceof Error && error.name === 'BatchNotSealedError') {
    return new TriggerUnavailableError(what, 'it did not get all of the batch')
  }
  if (!isApiError(error)) {
    // Not an answer of its API: the SDK could not read one, or could not send.
    return new TriggerUnavailableError(what, 'its answer cannot be read')
  }
  const { status, message } = error
  if (status === undefined) return new TriggerUnavailableError(what, 'the connection failed')
  if (status === 200) return new TriggerUnavailableError(what, 'its answer is not what its API answers')
  if (status === 401 || status === 403) {
    return new TriggerRefusedError(what, status, 'it does not take the key in TRIGGER_SECRET_KEY.')
  }
  if (status === 429) return new TriggerUnavailableError(what, 'it is asked too often (HTTP 429)')
  if (status === 408 || status === 409 || status >= 500) {
    return new TriggerUnavailableError(what, `it answers HTTP ${status}`)
  }
  return new TriggerRefusedError(what, status, shorten(message))
}

export function isNotFound(thrown: unknown): boolean {
  return isApiError(thrown) && thrown.status === 404
}

/** What is asked does not fit the state of the run. */
export function isBadRequest(thrown: unknown): boolean {
  return isApiError(thrown) && (thrown.status === 400 || thrown.status === 422)
}

export function noKey(): ConfigError {
  return new ConfigError(
    'JOBS_ENGINE=trigger.dev needs TRIGGER_SECRET_KEY, the secret key of an environment of your project (tr_dev_..., tr_prod_...).',
  )
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
