/** Resend's own client, on the wire and with errors that are thrown. */
import { type ErrorResponse, Resend, type Response as ResendResponse } from 'resend'
import { readSilence } from './silence.ts'
import type { Wire } from './wire.ts'

export interface ResendClientOptions {
  apiKey: string
  fromAddress: string
  /** Without a slash at the end. */
  baseUrl: string
  wire: Wire
}

/**
 * The SDK calls the global `fetch` and takes none of ours, and it answers `{ data, error }`: whoever forgets to look at
 * `error` takes an email for sent that was not. All its requests pass `fetchRequest`, so this is the one place to change.
 * Nothing is left to the SDK's own, which takes the status from the body and forgets why there was no answer.
 */
export class ResendClient extends Resend {
  /** Whom the tenant's emails come from: `Shop <shop@example.com>`. */
  readonly fromAddress: string
  readonly #wire: Wire

  constructor({ apiKey, fromAddress, baseUrl, wire }: ResendClientOptions) {
    // Said outright: what is left out, the SDK takes from the environment of the process, which is no tenant's.
    super(apiKey, { baseUrl, userAgent: 'cgk-platform-jobs' })
    this.fromAddress = fromAddress
    this.#wire = wire
  }

  /** @throws ResendError; the platform's own error, or the caller's, when it was one of them that ended the request. */
  override async fetchRequest<T>(path: string, options: RequestInit = {}): Promise<ResendResponse<T>> {
    if (dotSegment.test(path)) throw new ResendError(anotherPath.message, { status: null, ...anotherPath })
    try {
      const response = await this.#wire.fetch(`${this.baseUrl}${path}`, options)
      if (!response.ok) throw await readRefusal(response)
      const headers = Object.fromEntries(response.headers)
      return { data: (await response.json()) as T, error: null, headers }
    } catch (error) {
      throw options.signal?.aborted ? error : explain(error)
    }
  }
}

/** Resend did not do what it was asked. */
export class ResendError extends Error {
  override readonly name = 'ResendError'
  /** Null: there was no answer, or none that can be read. */
  readonly status: number | null
  /** As Resend names it: `validation_error`. Null: it gave no name. */
  readonly code: string | null
  readonly headers: Headers | null

  constructor(
    message: string,
    answer: { status: number | null; code: string | null; headers?: Headers },
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.status = answer.status
    this.code = answer.code
    this.headers = answer.headers ?? null
  }
}

/** An id like this would make it another endpoint's path. */
const dotSegment = /(^|\/)(\.|%2e){1,2}(?=[/?#]|$)/i

const anotherPath = {
  code: 'invalid_parameter' satisfies ErrorResponse['name'],
  message: 'An id cannot be `.` or `..`.',
}

/** `{ statusCode: 422, name: 'validation_error', message: '...' }` */
async function readRefusal(response: Response): Promise<ResendError> {
  const { status, headers } = response
  const { name, message } = (parse(await response.text()) ?? {}) as Partial<ErrorResponse>
  const text = typeof message === 'string' && message ? message : `Resend answered ${status}.`
  return new ResendError(text, { status, code: typeof name === 'string' ? name : null, headers })
}

function explain(error: unknown): unknown {
  const silence = error instanceof ResendError ? null : readSilence(error, 'Resend')
  if (!silence) return error
  return new ResendError(silence.message, { status: null, code: silence.code }, { cause: error })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
