/**
 * How an attempt that did not complete tells Trigger.dev so. Its errors have a name, a message and a stack, and no code:
 * the code goes into the name, as Node writes it (`TypeError [ERR_INVALID_URL]`), and is read back from there.
 */
import { AbortTaskRunError } from '@trigger.dev/sdk'
import type { RunError } from '../../task/json.ts'

/** No attempt follows. */
export class RunFailedError extends AbortTaskRunError {
  constructor(error: RunError) {
    super(error.message)
    describe(this, error)
  }
}

/** Another attempt follows after `delayMs`. */
export class RunRetryError extends Error {
  readonly delayMs: number

  constructor(error: RunError, delayMs: number) {
    super(error.message)
    describe(this, error)
    this.delayMs = delayMs
  }
}

/** What `catchError` of every task answers: the outcome has been decided, and Trigger.dev only carries it out. */
export function retryOf(thrown: unknown): { retryDelayInMs: number } | { skipRetrying: true } {
  return thrown instanceof RunRetryError ? { retryDelayInMs: thrown.delayMs } : { skipRetrying: true }
}

function describe(thrown: Error, { name, code, stack }: RunError): void {
  thrown.name = code === null ? name : `${name} [${code}]`
  thrown.stack = stack ?? `${thrown.name}: ${thrown.message}`
}

/** An error of a run as Trigger.dev's API tells it. */
export function readRunError(error: {
  name?: string | undefined
  message: string
  stackTrace?: string | undefined
}): RunError {
  const [, name, code] = /^(.*) \[([^\]]*)\]$/s.exec(error.name ?? '') ?? [null, error.name, null]
  return {
    name: name || 'Error',
    code: code ?? null,
    message: error.message,
    stack: error.stackTrace || null,
  }
}
