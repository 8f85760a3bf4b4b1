/**
 * What SDKs that Stainless generates (Mux's, Anthropic's) have in common: how they take a `fetch`, and how they wrap
 * what it throws.
 */
import { JobsError } from '../errors.ts'
import type { ServiceFailure } from './failure.ts'
import type { Wire } from './wire.ts'

/** The SDK's error for a connection that failed; its timeout is a class of its own below it. */
type ConnectionErrorClass = new (options: { message?: string; cause?: Error }) => Error

export interface ConnectionErrors {
  failed: ConnectionErrorClass
  timedOut: ConnectionErrorClass
}

/**
 * The SDK takes an error for a timeout when its text, or its cause's, sounds like one, and forgets it; and what breaks
 * while an answer is read it throws bare, so that nobody can tell whose error it is. Two layers of its own class keep
 * both. What it aborted itself it knows best.
 */
export function fetchThrough(wire: Wire, { failed }: ConnectionErrors): typeof fetch {
  const wrap = (error: unknown) => {
    const cause = error instanceof Error ? error : new Error(String(error))
    return new failed({ cause: new failed({ cause }) })
  }
  return async (input, init) => {
    try {
      const response = await wire.fetch(input, init)
      const json = response.json.bind(response)
      return Object.assign(response, { json: () => json().catch((error) => Promise.reject(wrap(error))) })
    } catch (error) {
      throw init?.signal?.aborted ? error : wrap(error)
    }
  }
}

/** No answer, or none that can be read; null when it was the platform or the task that ended the request. */
export function readSilence(
  error: Error,
  title: string,
  { failed, timedOut }: ConnectionErrors,
): ServiceFailure | null {
  let cause: unknown = error
  while (cause instanceof failed && cause.cause) cause = cause.cause
  if (cause instanceof JobsError) return null
  const { name } = cause as Error
  if (name === 'AbortError') return null
  const silence = (code: string, message: string) => ({ kind: 'transient', code, message }) as const
  if (name === 'TimeoutError' || cause instanceof timedOut) {
    return silence('timeout', `${title} did not answer in time.`)
  }
  if (name === 'SyntaxError') return silence('unreadable_answer', `${title} answered with what is no JSON.`)
  return silence('connection_error', `The connection to ${title} failed.`)
}
