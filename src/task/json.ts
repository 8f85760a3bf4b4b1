/**
 * What a run leaves behind, in a form that Postgres can store.
 *
 * A run returns or throws whatever it likes. jsonb refuses NUL characters and lone surrogates, JSON refuses BigInt and
 * cycles; if the settling statement failed for that, the run would stay `running` and run again. So everything is
 * made storable before it is settled, and without the secrets that this process has decrypted.
 */
import { configure } from 'safe-stable-stringify'
import { cleanText } from '../clean-text.ts'

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue }

/** An error as it is kept: no payload, no cause chain, bounded. */
export interface RunError {
  name: string
  /** The error's own `code` where it has one: a platform code, an SQLSTATE, a Node code. */
  code: string | null
  message: string
  stack: string | null
}

/** Larger outputs are cut: history is read by people, large results belong in a table. */
const maxOutputBytes = 256 * 1024
const maxMessageLength = 4_000
const maxStackLength = 16_000
const maxKeyLength = Number.MAX_SAFE_INTEGER

const stringify = configure({
  bigint: false,
  circularValue: '[Circular]',
  deterministic: false,
  maximumDepth: 100,
})

export function storableOutput(output: unknown): JsonValue {
  if (output === undefined || output === null) return null
  let text: string | undefined
  try {
    text = stringify(output, (_key, value: unknown) => storable(value))
  } catch {
    // A getter or a toJSON of the task's own threw. The run itself succeeded.
    return { unstorable: true, reason: 'the output could not be turned into JSON' }
  }
  if (text === undefined) return null
  const bytes = Buffer.byteLength(text)
  if (bytes > maxOutputBytes) return { truncated: true, bytes, start: text.slice(0, 1_000).toWellFormed() }
  return JSON.parse(text) as JsonValue
}

export function storableError(thrown: unknown): RunError {
  try {
    return readError(thrown)
  } catch {
    // A getter of the thrown value threw in its turn, or a proxy was revoked.
    return { name: 'ThrownValue', code: null, message: 'A value that cannot be read.', stack: null }
  }
}

function readError(thrown: unknown): RunError {
  if (thrown instanceof Error) {
    return {
      name: cleanText(String(thrown.name), 200),
      code: errorCode(thrown),
      message: cleanText(String(thrown.message), maxMessageLength),
      stack: thrown.stack === undefined ? null : cleanText(String(thrown.stack), maxStackLength),
    }
  }
  const text = typeof thrown === 'string' ? thrown : JSON.stringify(storableOutput(thrown))
  return { name: 'ThrownValue', code: null, message: cleanText(text, maxMessageLength), stack: null }
}

/** An error that others than this release may have stored; what of it is none is made up for. */
export function readStoredError(stored: JsonValue): RunError {
  const { name, code, message, stack } = isPlain(stored) ? stored : {}
  const textOr = <Other>(value: unknown, other: Other, most: number) =>
    typeof value === 'string' ? cleanText(value, most) : other
  return {
    name: textOr(name, 'Error', 200),
    code: textOr(code, null, 200),
    message: textOr(message, 'It failed, and nothing was left that says why.', maxMessageLength),
    stack: textOr(stack, null, maxStackLength),
  }
}

function errorCode(error: Error): string | null {
  const code = 'code' in error ? error.code : undefined
  return typeof code === 'string' || typeof code === 'number' ? cleanText(String(code), 200) : null
}

function storable(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value, Number.MAX_SAFE_INTEGER)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'function' || typeof value === 'symbol') return undefined
  if (value instanceof Error) return { ...storableError(value), stack: null }
  if (isPlain(value) && Object.keys(value).some((key) => cleanText(key, maxKeyLength) !== key)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, held]) => [cleanText(key, maxKeyLength), held]),
    )
  }
  return value
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
