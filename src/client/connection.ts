/**
 * Requests to the API, tried again until one is answered. After 429 and 503, for then nothing has been done. After a
 * network error, a try that took too long, 500, 502 and 504 nobody knows, so then only what is safe to repeat: what
 * reads, what carries one Idempotency-Key for all its tries, and what changes nothing when it is done twice.
 */
import { type Issue, JobsHttpError, JobsUnreachableError } from './errors.ts'
import { pause } from './pause.ts'

export interface ConnectionOptions {
  /** Of the API: `https://jobs.example.com/api/v1`. */
  url: string
  /** `cgk_live_...` */
  key: string
  fetch: typeof globalThis.fetch
  /** For one try, answer included. */
  timeoutMs: number
  maxAttempts: number
}

export interface JobsRequest {
  method: 'GET' | 'POST'
  /** Below the url. */
  path: string
  query?: URLSearchParams
  body?: unknown
  idempotencyKey?: string
  /** Done twice, it is done once, although it has no key. */
  repeatable?: boolean
  /** Ends it, with its reason. */
  signal?: AbortSignal
}

const firstPauseMs = 200
const longestPauseMs = 10_000
/** A server that wants to be left alone for longer than that is no help to whoever waits for this answer. */
const longestRetryAfterMs = 60_000

export class Connection {
  readonly #options: ConnectionOptions

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  /** The body of the answer. @throws JobsHttpError, JobsUnreachableError, the reason of the signal. */
  async send<Answer>(request: JobsRequest): Promise<Answer> {
    const { url, maxAttempts } = this.#options
    const body = request.body === undefined ? undefined : JSON.stringify(request.body)
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#try(request, body)
      if ('answer' in outcome) return outcome.answer as Answer
      const { error, retryAfterMs, wasDone } = outcome
      const maySend = wasDone === 'no' || (wasDone === 'unknown' && isSafeToRepeat(request))
      if (attempt === maxAttempts || !maySend || retryAfterMs > longestRetryAfterMs) {
        throw error instanceof JobsHttpError ? error : new JobsUnreachableError(url, attempt, error)
      }
      await pause(Math.max(retryAfterMs, pauseAfter(attempt)), request.signal)
    }
  }

  async #try({ path, query, signal, ...request }: JobsRequest, body: string | undefined): Promise<Outcome> {
    const { url, timeoutMs, fetch } = this.#options
    signal?.throwIfAborted()
    const timeout = AbortSignal.timeout(timeoutMs)
    let response: Response
    let text: string
    try {
      response = await fetch(`${url}${path}${query?.size ? `?${query}` : ''}`, {
        method: request.method,
        headers: this.#headers(request),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        // The key is for this server, and for no other that it names.
        redirect: 'manual',
        ...(body !== undefined && { body }),
      })
      text = await response.text()
    } catch (error) {
      signal?.throwIfAborted()
      return { error, retryAfterMs: 0, wasDone: 'unknown' }
    }
    const answer = parse(text)
    if (response.ok && answer !== undefined) return { answer }
    return {
      error: readProblem(response, answer),
      retryAfterMs: readRetryAfter(response),
      wasDone: readWhetherDone(response),
    }
  }

  #headers({ body, idempotencyKey }: Pick<JobsRequest, 'body' | 'idempotencyKey'>): Record<string, string> {
    return {
      accept: 'application/json',
      authorization: `Bearer ${this.#options.key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
    }
  }
}

/** The server is busy, and says so instead of doing it. */
const notDone: readonly number[] = [429, 503]
/** Something broke, there or on the way, before or after. */
const undecided: readonly number[] = [500, 502, 504]

/** `answered`: the same request would be answered the same. */
type Outcome =
  | { answer: unknown }
  | { error: unknown; retryAfterMs: number; wasDone: 'no' | 'unknown' | 'answered' }

function readWhetherDone({ status }: Response): 'no' | 'unknown' | 'answered' {
  if (notDone.includes(status)) return 'no'
  return undecided.includes(status) ? 'unknown' : 'answered'
}

function isSafeToRepeat({ method, idempotencyKey, repeatable = false }: JobsRequest): boolean {
  return method === 'GET' || idempotencyKey !== undefined || repeatable
}

function pauseAfter(attempt: number): number {
  const ceiling = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1))
  return ceiling * (0.5 + Math.random() / 2)
}

/** In seconds, or a time. */
function readRetryAfter({ headers }: Response): number {
  const given = headers.get('retry-after')
  if (given === null) return 0
  const ms = /^\d+$/.test(given) ? Number(given) * 1_000 : Date.parse(given) - Date.now()
  return Number.isNaN(ms) ? 0 : Math.max(0, ms)
}

/** What stands between here and the API, a proxy or a captive portal, answers in words of its own. */
function readProblem({ status }: Response, answer: unknown): JobsHttpError {
  const { code, detail, issues } = (answer ?? {}) as { code?: unknown; detail?: unknown; issues?: unknown }
  return new JobsHttpError(status, {
    code: typeof code === 'string' ? code : 'ANSWER_UNREADABLE',
    detail: typeof detail === 'string' ? detail : 'This is no answer of the jobs API: check the url',
    ...(Array.isArray(issues) && { issues: issues as Issue[] }),
  })
}

/** Undefined: it is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
