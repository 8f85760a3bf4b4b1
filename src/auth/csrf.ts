/**
 * No other site makes a signed-in browser change anything: a request that may must carry a token in a header, which
 * only our own pages know, and must not come from elsewhere.
 *
 * The token is an HMAC keyed by the session's own secret, so it is bound to that session and stored nowhere, and it
 * gives nothing of that secret away. Requests with an API key need none: no browser adds a key by itself.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { CrossSiteRequestError } from '../errors.ts'

export const csrfHeader = 'x-csrf-token'

const safeMethods = ['GET', 'HEAD', 'OPTIONS']

export function csrfToken(sessionToken: string): string {
  return createHmac('sha256', sessionToken).update('cgk csrf').digest('base64url')
}

/** @throws CrossSiteRequestError when the request could change something and is not from a page of this session. */
export function checkCsrf(request: Request, sessionToken: string, publicUrl: string | null): void {
  if (safeMethods.includes(request.method)) return
  checkSameSite(request, publicUrl)
  const given = Buffer.from(request.headers.get(csrfHeader) ?? '')
  const expected = Buffer.from(csrfToken(sessionToken))
  if (given.length === expected.length && timingSafeEqual(given, expected)) return
  throw new CrossSiteRequestError(`send the session's CSRF token in the header ${csrfHeader}`)
}

/**
 * What browsers say about where a request comes from. Only ever a reason to refuse: what they do not say is left to the
 * token. Signing in needs it alone, for there is no session yet.
 *
 * @throws CrossSiteRequestError.
 */
export function checkSameSite(request: Request, publicUrl: string | null): void {
  const site = request.headers.get('sec-fetch-site')
  if (site !== null && site !== 'same-origin' && site !== 'none') {
    throw new CrossSiteRequestError('it comes from another site')
  }
  const origin = request.headers.get('origin')
  if (origin !== null && origin !== new URL(publicUrl ?? request.url).origin) {
    throw new CrossSiteRequestError('its Origin is not the one of JOBS_PUBLIC_URL')
  }
}
