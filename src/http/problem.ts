/** What a request that is refused is answered with: a problem of RFC 9457, thrown from wherever it is noticed. */
import { STATUS_CODES } from 'node:http'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

export interface ProblemOptions {
  status: ContentfulStatusCode
  /** Stable, safe to branch on. */
  code: string
  /** For a person. Anybody may have asked, so it tells nothing of the platform and its tenants. */
  detail: string
  /** Where it does not fit a schema: paths and rules, and nothing of what was sent. */
  issues?: readonly { path: string; message: string }[]
  headers?: Readonly<Record<string, string>>
  /** Never in the answer. */
  cause?: unknown
}

export function problem({ status, code, detail, issues, headers, cause }: ProblemOptions): HTTPException {
  const body = {
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail,
    code,
    ...(issues && { issues }),
  }
  const res = new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
  })
  return new HTTPException(status, { message: code, res, cause })
}

/** Nothing is wrong with the request: the same one succeeds later. */
export function unavailable(
  code: string,
  detail: string,
  { retryAfterSeconds }: { retryAfterSeconds: number },
): HTTPException {
  return problem({ status: 503, code, detail, headers: { 'retry-after': String(retryAfterSeconds) } })
}
