/**
 * The cookie by which a browser is known that its user has signed in with before: OWASP's "device cookie". It lets
 * nobody in. It only keeps tries from such a browser apart from those of strangers (login-limits.ts), so it outlives
 * the session, and signing out.
 *
 * Nothing is stored for it: it is a time, a random text, and an HMAC of both that is keyed by the password's hash. So
 * only who had the right password has one, for that account alone, and with another password it is worth nothing.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import ms from 'ms'
import { readCookies, setCookie } from './cookies.ts'

const lifeMs = ms('180d')

export interface DeviceAccount {
  id: string
  passwordHash: string
}

/** The text of a Set-Cookie header. */
export function deviceCookie(account: DeviceAccount, now: Date, secure: boolean): string {
  const known = `${now.getTime().toString(36)}.${randomBytes(16).toString('base64url')}`
  return setCookie(nameFor(account), `${known}.${sign(account, known)}`, lifeMs / 1000, secure)
}

/** Which browser it is, of those that the account is known to; null: of none. `cookies`: the Cookie header. */
export function knownDevice(
  account: DeviceAccount,
  cookies: string | null,
  now: Date,
  secure: boolean,
): string | null {
  for (const value of readCookies(cookies, nameFor(account), secure)) {
    const [, known, time, given] = /^(([0-9a-z]{1,10})\.[\w-]{22})\.([\w-]{43})$/.exec(value) ?? []
    if (!known || !time || !given) continue
    const isYoung = now.getTime() - Number.parseInt(time, 36) < lifeMs
    if (isYoung && timingSafeEqual(Buffer.from(given), Buffer.from(sign(account, known)))) return known
  }
  return null
}

/** One for each account, for some sign in to several. */
function nameFor({ id }: DeviceAccount): string {
  return `cgk_device_${createHash('sha256').update(id).digest('hex').slice(0, 16)}`
}

function sign({ id, passwordHash }: DeviceAccount, known: string): string {
  return createHmac('sha256', passwordHash).update(`cgk device ${id} ${known}`).digest('base64url')
}
