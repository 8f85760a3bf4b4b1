/** What calls of the client throw. The API key and payloads are in no message. */

export interface Issue {
  /** Where: `orderId`, `items.3.payload.orderId`. */
  path: string
  message: string
}

/** The API refused the request, or could not answer it after all tries. */
export class JobsHttpError extends Error {
  override readonly name = 'JobsHttpError'
  /** The HTTP status. */
  readonly status: number
  /** The platform's own, stable and safe to branch on: `PAYLOAD_INVALID`, `TENANT_SUSPENDED`, `FORBIDDEN`. */
  readonly code: string
  readonly detail: string
  /** Where a payload or a request does not fit its schema; otherwise empty. */
  readonly issues: readonly Issue[]

  constructor(
    status: number,
    { code, detail, issues = [] }: { code: string; detail: string; issues?: Issue[] },
  ) {
    const where = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    super([`${detail} (HTTP ${status}, ${code})`, ...where].join('\n  '))
    this.status = status
    this.code = code
    this.detail = detail
    this.issues = issues
  }
}

/** No answer, after all tries. What was to be triggered may have been: the same call again is a new request. */
export class JobsUnreachableError extends Error {
  override readonly name = 'JobsUnreachableError'
  readonly code = 'JOBS_UNREACHABLE'

  constructor(url: string, attempts: number, cause: unknown) {
    const tries = attempts === 1 ? 'one try' : `${attempts} tries`
    super(
      `The jobs API at ${url} did not answer in ${tries}. Check the url, and that cgk serve runs there.`,
      {
        cause,
      },
    )
  }
}

/** `runs.wait` gave up waiting. The run itself goes on. */
export class JobsWaitTimeoutError extends Error {
  override readonly name = 'JobsWaitTimeoutError'
  readonly code = 'WAIT_TIMEOUT'

  constructor(runId: string, timeoutMs: number) {
    super(`Run ${runId} had not ended after ${timeoutMs} ms. It goes on; wait again, or look at it later.`)
  }
}
