/** Cookies: not for scripts, not for other sites, and over https where there is https. */
import { serialize } from 'hono/utils/cookie'

/** The `__Host-` prefix makes the browser itself refuse one that a subdomain or plain http has set. */
export function cookieName(name: string, secure: boolean): string {
  return secure ? `__Host-${name}` : name
}

/** What is configured decides, for anybody can write a header that says https. */
export function isSecure(publicUrl: string | null): boolean {
  return publicUrl?.startsWith('https://') ?? false
}

/** The text of a Set-Cookie header. */
export function setCookie(name: string, value: string, maxAgeSeconds: number, secure: boolean): string {
  return serialize(cookieName(name, secure), value, {
    path: '/',
    httpOnly: true,
    sameSite: 'Lax',
    secure,
    maxAge: maxAgeSeconds,
  })
}

/** Of a Cookie header, every value that came under the name. */
export function readCookies(header: string | null, name: string, secure: boolean): string[] {
  const start = `${cookieName(name, secure)}=`
  return (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(start))
    .map((pair) => pair.slice(start.length))
}
