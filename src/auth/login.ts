/**
 * Signing in and out. An address that nobody has and a password that is wrong take the same steps, the same time and
 * the same answer.
 */
import { LoginRefusedError } from '../errors.ts'
import { normalizePassword, parseEmail } from './account-text.ts'
import { hashSecret, newToken } from './bearer-secret.ts'
import { isSecure } from './cookies.ts'
import { csrfToken } from './csrf.ts'
import type { AuthDeps } from './deps.ts'
import { deviceCookie, knownDevice } from './device-cookie.ts'
import { forgiveLoginTries, spendLoginTry } from './login-limits.ts'
import { networkOf } from './network.ts'
import type { UserPrincipal } from './principal.ts'
import { clearedCookie, sessionCookie } from './session-cookie.ts'
import { absoluteMs, idleMs } from './session-life.ts'
import { revokeSession, sweepSessions } from './sessions.ts'

export interface LoginRequest {
  email: string
  password: string
  /** The IP address it comes from, as the connection or a proxy of one's own says, never a header of the caller's. Null: not known. */
  address: string | null
  /** The Cookie header: a browser that the user has signed in with before is not slowed down by strangers. */
  cookies?: string | null
  /** Shown in the list of sessions. */
  userAgent?: string | null
}

export interface Login {
  sessionId: string
  userId: string
  /** The text of the Set-Cookie header; the only place where the session's token is. */
  cookie: string
  /** Of another one, for the next time: the browser is known by it (device-cookie.ts). */
  deviceCookie: string
  /** To be sent in `x-csrf-token` with every request that changes something. */
  csrfToken: string
}

/** @throws LoginRefusedError, LoginLimitedError, PasswordsBusyError. */
export async function login(auth: AuthDeps, request: LoginRequest): Promise<Login> {
  const email = readEmail(request.email)
  const password = normalizePassword(request.password)
  if (email === null || password === null) throw new LoginRefusedError()
  const account = await readAccount(auth, email)
  const secure = isSecure(auth.publicUrl)
  const browser = browserOf(account, request, auth.now(), secure)
  const network = networkOf(request.address)
  const isOwnNetwork = network !== null && (account?.addresses.map(networkOf).includes(network) ?? false)
  const attempt = { email, browser, network, isOwnNetwork }
  await spendLoginTry(auth, attempt)
  const compared = account?.passwordHash ?? null
  const isRight = await auth.passwords.verify(compared, password)
  if (!isRight || !account || compared === null) throw new LoginRefusedError()
  const token = newToken()
  const kept = await currentHash(auth, compared, password)
  const sessionId = await openSession(auth, { userId: account.id, compared, kept, token, request })
  if (sessionId === null) throw new LoginRefusedError()
  await forgiveLoginTries(auth, attempt)
  await sweepSessions(auth)
  return {
    sessionId,
    userId: account.id,
    cookie: sessionCookie(token, absoluteMs / 1000, secure),
    deviceCookie: deviceCookie({ id: account.id, passwordHash: kept }, auth.now(), secure),
    csrfToken: csrfToken(token),
  }
}

/** Answers the text of the Set-Cookie header that takes the cookie away. */
export async function logout(auth: AuthDeps, { id, sessionId }: UserPrincipal): Promise<string> {
  await revokeSession(auth, id, sessionId)
  return clearedCookie(isSecure(auth.publicUrl))
}

function readEmail(value: unknown): string | null {
  try {
    return parseEmail(value)
  } catch {
    return null
  }
}

function browserOf(
  account: Account | null,
  { cookies }: LoginRequest,
  now: Date,
  secure: boolean,
): string | null {
  if (!cookies || !account || account.passwordHash === null) return null
  return knownDevice({ id: account.id, passwordHash: account.passwordHash }, cookies, now, secure)
}

/** With the parameters of today; only at a login is the password there to be hashed anew. */
async function currentHash({ passwords }: AuthDeps, stored: string, password: string): Promise<string> {
  return (await passwords.isOutdated(stored)) ? await passwords.hash(password) : stored
}

interface Account {
  id: string
  passwordHash: string | null
  /** Where its user has signed in from. */
  addresses: string[]
}

/** Indexes: users_email_key, sessions_user_id_idx. */
async function readAccount(auth: AuthDeps, email: string): Promise<Account | null> {
  const { rows } = await auth.database.query<Account>(
    `SELECT id, password_hash AS "passwordHash",
       ARRAY(SELECT DISTINCT ip_address FROM public.sessions WHERE user_id = users.id AND ip_address IS NOT NULL) AS addresses
     FROM public.users WHERE lower(email) = $1`,
    [email],
  )
  return rows[0] ?? null
}

/**
 * Only while the user is active and the password is still the one that was compared. It takes the user's row as
 * setPassword and disableUser do, so a session is either refused here or among those that they revoke.
 */
const openSessionSql = `
  WITH account AS (
    UPDATE public.users SET last_login_at = $3, password_hash = $4
    WHERE id = $1 AND password_hash = $2 AND status = 'active' RETURNING id
  )
  INSERT INTO public.sessions (user_id, token_hash, current_tenant_id, created_at, expires_at, ip_address, user_agent)
  SELECT id, $5, (
    SELECT min(slug) FROM public.user_organizations JOIN public.organizations ON organizations.id = organization_id
    WHERE user_id = account.id HAVING count(*) = 1
  ), $3, $6, $7, $8 FROM account RETURNING id`

interface Opening {
  userId: string
  /** The hash that the password was compared with, */
  compared: string
  /** and the one to keep. */
  kept: string
  token: string
  request: LoginRequest
}

/** Who belongs to one tenant has chosen it. Null: the account has changed meanwhile, or is disabled. */
async function openSession(auth: AuthDeps, opening: Opening): Promise<string | null> {
  const { userId, compared, kept, token, request } = opening
  const now = auth.now()
  const { rows } = await auth.database.query<{ id: string }>(openSessionSql, [
    ...[userId, compared, now, kept, hashSecret(token), new Date(now.getTime() + idleMs)],
    ...[networkOf(request.address) === null ? null : request.address, shown(request.userAgent)],
  ])
  return rows[0]?.id ?? null
}

const longestUserAgent = 300

function shown(userAgent: string | null | undefined): string | null {
  return userAgent ? userAgent.replaceAll('\0', '').toWellFormed().slice(0, longestUserAgent) : null
}
