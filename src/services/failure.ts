/** What went wrong with a provider, in the platform's words. */

export type ServiceFailure =
  /** The provider does not take the credential (any more). */
  | { kind: 'refused'; code: string; message: string }
  /** The provider asks to wait, in milliseconds. */
  | { kind: 'limited'; code: string; message: string; retryAfterMs: number }
  /** The same call may succeed later. */
  | { kind: 'transient'; code: string; message: string }
  /** The same call will never succeed. `code` is the provider's own where it has one: `card_declined`. */
  | { kind: 'permanent'; code: string; message: string }

export interface HttpAnswer {
  status: number
  /** The provider's own code, if the body had one. */
  code?: string | null | undefined
  message: string
  headers?: Headers | Record<string, string | string[] | undefined> | null | undefined
}

/** By the HTTP status, as most providers mean it; a service's own rules come first. */
export function failureOf({ status, code, message, headers }: HttpAnswer): ServiceFailure {
  const failure = { code: code || `http_${status}`, message }
  if (status === 401 || status === 403) return { kind: 'refused', ...failure }
  if (status === 429) return { kind: 'limited', ...failure, retryAfterMs: retryAfterMs(headers) }
  if (status === 408 || status === 409 || status === 425 || status >= 500) {
    return { kind: 'transient', ...failure }
  }
  return { kind: 'permanent', ...failure }
}

const defaultWaitMs = 30_000
const shortestWaitMs = 1_000
/** Whoever asks for more means: not today. */
const longestWaitMs = 24 * 3_600_000

/** What `Retry-After` asks for: seconds, or a date. Where it is missing or unreadable, 30 s. */
export function retryAfterMs(headers: HttpAnswer['headers'], now = Date.now()): number {
  const text = readHeader(headers, 'retry-after')?.trim()
  if (!text) return defaultWaitMs
  const asked = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now
  if (!Number.isFinite(asked)) return defaultWaitMs
  return Math.round(Math.min(longestWaitMs, Math.max(shortestWaitMs, asked)))
}

function readHeader(headers: HttpAnswer['headers'], name: string): string | undefined {
  if (!headers) return undefined
  if (headers instanceof Headers) return headers.get(name) ?? undefined
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1]
  return Array.isArray(found) ? found[0] : found
}
