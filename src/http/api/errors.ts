/** An error of the platform as a problem of RFC 9457: which status it has, and what of it may be told. */

import type { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { core } from 'zod'
import { InvalidPayloadError, JobsError } from '../../errors.ts'
import { type ProblemOptions, problem } from '../problem.ts'

/** Whatever has no status here is ours to mend. */
const statuses: Record<string, ContentfulStatusCode> = {
  UNAUTHENTICATED: 401,
  LOGIN_REFUSED: 401,
  FORBIDDEN: 403,
  CSRF_REFUSED: 403,
  INVITATION_NEEDS_LOGIN: 403,
  TENANT_UNKNOWN: 404,
  TASK_UNKNOWN: 404,
  RUN_UNKNOWN: 404,
  BULK_ACTION_UNKNOWN: 404,
  SCHEDULE_UNKNOWN: 404,
  FAILURE_GROUP_UNKNOWN: 404,
  SERVICE_UNKNOWN: 404,
  USER_UNKNOWN: 404,
  API_KEY_UNKNOWN: 404,
  TENANT_EXISTS: 409,
  TENANT_SUSPENDED: 409,
  TENANT_HAS_OPEN_RUNS: 409,
  TENANT_NOT_CHOSEN: 409,
  RUN_STILL_OPEN: 409,
  BULK_ACTION_STATE: 409,
  USER_EXISTS: 409,
  LAST_OWNER: 409,
  ADDRESS_UNCONFIRMED: 409,
  SERVICE_NOT_CONFIGURED: 409,
  CREDENTIAL_UNREADABLE: 409,
  TENANT_SLUG_INVALID: 422,
  TENANT_NAME_INVALID: 422,
  PAYLOAD_INVALID: 422,
  TRIGGER_OPTIONS_INVALID: 422,
  SCHEDULE_INVALID: 422,
  CREDENTIAL_INVALID: 422,
  ACCOUNT_INVALID: 422,
  PASSWORD_INVALID: 422,
  GRANT_INVALID: 422,
  INVITATION_INVALID: 422,
  BULK_ACTION_INVALID: 422,
  FAILURE_MARK_INVALID: 422,
  RUN_FILTER_INVALID: 400,
  CREDENTIALS_AMBIGUOUS: 400,
  LOGIN_LIMITED: 429,
  PASSWORDS_BUSY: 503,
  TRIGGER_UNAVAILABLE: 503,
  TRIGGER_REFUSED: 502,
}

/** Null: nothing the caller can do anything about. */
export function readError(error: unknown): HTTPException | null {
  if (!(error instanceof JobsError)) return null
  const status = statuses[error.code]
  if (status === undefined) return null
  return problem({
    status,
    code: error.code,
    detail: error.message,
    cause: error,
    ...(error instanceof InvalidPayloadError && { issues: error.issues }),
    ...headersOf(error, status),
  })
}

/** What Hono itself refuses, such as a body that is no JSON, it says in plain text. */
export function readRefusal(error: HTTPException): HTTPException {
  if (error.res) return error
  return problem({ status: 400, code: 'BODY_UNREADABLE', detail: 'The body is no JSON.', cause: error })
}

function headersOf(error: JobsError, status: number): Pick<ProblemOptions, 'headers'> {
  if (status === 401) return { headers: { 'www-authenticate': 'Bearer' } }
  const { retryAfterSeconds } = error as { retryAfterSeconds?: unknown }
  if (typeof retryAfterSeconds !== 'number') return {}
  return { headers: { 'retry-after': String(retryAfterSeconds) } }
}

/** Paths and rules, and nothing of what was sent. */
export function invalidRequest(error: core.$ZodError): HTTPException {
  return problem({
    status: 400,
    code: 'REQUEST_INVALID',
    detail: 'The request does not fit the API: see issues, and /api/v1/openapi.json.',
    issues: error.issues.map(({ path, message }) => ({ path: path.map(String).join('.'), message })),
  })
}
