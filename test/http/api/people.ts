/** What tests of signing in and of the audit log need beyond the kit: people with their passwords, and what was recorded. */
import { randomBytes } from 'node:crypto'
import type { AuditEntry } from '../../../src/audit/audit.ts'
import { createUser, type NewUser } from '../../../src/auth/index.ts'
import { app, type Caller, callerWith, kit } from './kit.ts'

export const password = 'a horse on the moon'

export interface Account {
  id: string
  email: string
}

export async function account(user: Partial<NewUser> = {}): Promise<Account> {
  const { auth } = await kit.platform.ready()
  const email = `${randomBytes(6).toString('hex')}@x.test`
  return { id: await createUser(auth, { email, password, ...user }, null), email }
}

export interface SignedIn extends Caller {
  /** As a browser sends it. */
  cookie: string
  csrfToken: string
}

/** By the API itself. */
export async function signIn({ email }: Pick<Account, 'email'>, as = password): Promise<SignedIn> {
  const response = await postSession({ email, password: as })
  if (response.status !== 200) throw new Error(await response.text())
  const cookie = response.headers.get('set-cookie')!.split(';')[0]!
  const { csrfToken } = (await response.json()) as { csrfToken: string }
  return { ...callerWith({ cookie, 'x-csrf-token': csrfToken }), cookie, csrfToken }
}

/** `socket`: the address that it comes from; null: there is no socket. */
export async function postSession(
  body: unknown,
  { headers = {}, socket = null }: { headers?: Record<string, string>; socket?: string | null } = {},
): Promise<Response> {
  return await app.request(
    'http://test/api/v1/session',
    {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    },
    socket === null ? {} : { incoming: { socket: { remoteAddress: socket } } },
  )
}

/** The newest entry of such an action. */
export async function recorded(action: string): Promise<AuditEntry | undefined> {
  return (await kit.platform.audit.list({ action, limit: 1 })).entries[0]
}
