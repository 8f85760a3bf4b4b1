/** The cookie that carries a session's token: not for scripts, not for other sites, and over https where there is https. */
import { serialize } from 'hono/utils/cookie'

/** The `__Host-` prefix makes the browser itself refuse one that a subdomain or plain http has set. */
function cookieName(secure: boolean): string {
  return secure ? '__Host-cgk_session' : 'cgk_session'
}

/** What is configured decides, for anybody can write a header that says https. */
export function isSecure(publicUrl: string | null): boolean {
  return publicUrl?.startsWith('https://') ?? false
}

/** The text of a Set-Cookie header. */
export function sessionCookie(token: string, maxAgeSeconds: number, secure: boolean): string {
  return serialize(cookieName(secure), token, {
    path: '/',
    httpOnly: true,
    sameSite: 'Lax',
    secure,
    maxAge: maxAgeSeconds,
  })
}

export function clearedCookie(secure: boolean): string {
  return sessionCookie('', 0, secure)
}

/** Every value that came under the name: of two, one is not ours. */
export function readSessionCookies(request: Request, secure: boolean): string[] {
  const start = `${cookieName(secure)}=`
  return (request.headers.get('cookie') ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(start))
    .map((pair) => pair.slice(start.length))
}
