/** The cookie that carries a session's token. */
import { readCookies, setCookie } from './cookies.ts'

const name = 'cgk_session'

/** The text of a Set-Cookie header. */
export function sessionCookie(token: string, maxAgeSeconds: number, secure: boolean): string {
  return setCookie(name, token, maxAgeSeconds, secure)
}

export function clearedCookie(secure: boolean): string {
  return sessionCookie('', 0, secure)
}

/** Every value that came under the name: of two, one is not ours. */
export function readSessionCookies(request: Request, secure: boolean): string[] {
  return readCookies(request.headers.get('cookie'), name, secure)
}
