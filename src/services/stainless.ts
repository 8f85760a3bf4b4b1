/**
 * What SDKs that Stainless generates (Mux's, Anthropic's) have in common: how they take a `fetch`, and how they wrap
 * what it throws.
 */
import { readSilence, type Silence, timeout } from './silence.ts'
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

/** By what is below the layers, the SDK's own timeout included. */
export function readConnectionError(
  error: Error,
  title: string,
  { failed, timedOut }: ConnectionErrors,
): Silence | null {
  let cause: unknown = error
  while (cause instanceof failed && cause.cause) cause = cause.cause
  return cause instanceof timedOut ? timeout(title) : readSilence(cause, title)
}
