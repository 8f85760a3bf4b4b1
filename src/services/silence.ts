/** No answer of a provider, or none that can be read: what every service says of it, whatever its SDK makes of it. */
import { JobsError } from '../errors.ts'

/** A ServiceFailure: the same call may succeed later. */
export interface Silence {
  kind: 'transient'
  code: 'timeout' | 'connection_error' | 'unreadable_answer'
  message: string
}

/**
 * By what ended the request, or the reading of its answer. Null: it was the platform or the task, and they are told by
 * their own error. `title` and `form` are what people call the service and what it should have answered.
 */
export function readSilence(cause: unknown, title: string, form?: string): Silence | null {
  const name = cause instanceof Error ? cause.name : ''
  if (cause instanceof JobsError || name === 'AbortError') return null
  if (name === 'TimeoutError') return timeout(title)
  if (name === 'SyntaxError') return unreadableAnswer(title, form)
  return { kind: 'transient', code: 'connection_error', message: `The connection to ${title} failed.` }
}

export function timeout(title: string): Silence {
  return { kind: 'transient', code: 'timeout', message: `${title} did not answer in time.` }
}

export function unreadableAnswer(title: string, form = 'JSON'): Silence {
  return {
    kind: 'transient',
    code: 'unreadable_answer',
    message: `${title} answered with what is no ${form}.`,
  }
}
