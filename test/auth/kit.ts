/** People, keys and requests for the tests of this folder, on a platform whose clock the tests move. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import type { AuthDeps, NewUser, Permission, TenantRole, UserPrincipal } from '../../src/auth/index.ts'
import { createApiKey, createUser, type Login, login, principalOf } from '../../src/auth/index.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

export const publicUrl = 'https://jobs.example.com'
export const password = 'a horse on the moon'

export let platform: TestPlatform
export let auth: AuthDeps

export function useAuthPlatform(): void {
  beforeAll(async () => {
    platform = await createTestPlatform({ tasks: [], publicUrl })
    auth = (await platform.platform.ready()).auth
  })
  afterAll(() => platform.close())
}

export interface Person {
  id: string
  email: string
}

export async function addPerson(user: Partial<NewUser> = {}): Promise<Person> {
  const email = `p${randomBytes(6).toString('hex')}@example.com`
  return { id: await createUser(auth, { email, password, ...user }, null), email }
}

export async function addMemberOf(
  tenantId: string,
  role: TenantRole,
  permissions: Permission[] = [],
): Promise<Person> {
  return await addPerson({ membership: { tenantId, role, permissions } })
}

/** From an address that no other test has, so that tries are not counted together. */
export async function signIn({ email }: { email: string }, address = newAddress()): Promise<Login> {
  return await login(auth, { email, password, address })
}

/** As a request of theirs would be read. */
export async function principal(person: Person): Promise<UserPrincipal> {
  const found = await principalOf(auth, get(await signIn(person)))
  if (found?.kind !== 'user') throw new Error(`${person.email} is nobody`)
  return found
}

export async function addKey(tenantId: string | null, scopes: Permission[]): Promise<string> {
  return (await createApiKey(auth, { name: 'deploy', tenantId, scopes }, null)).key
}

export const cookieOf = ({ cookie }: Pick<Login, 'cookie'>) => cookie.split(';')[0]!

export function get(session: Pick<Login, 'cookie'> | null, headers: Record<string, string> = {}): Request {
  const cookie = session && { cookie: cookieOf(session) }
  return new Request(`${publicUrl}/api/v1/runs`, { headers: { ...cookie, ...headers } })
}

export function post(session: Login, headers: Record<string, string> = {}): Request {
  const own = { cookie: cookieOf(session), 'x-csrf-token': session.csrfToken, origin: publicUrl }
  return new Request(`${publicUrl}/api/v1/runs`, { method: 'POST', headers: { ...own, ...headers } })
}

export function withKey(key: string, headers: Record<string, string> = {}, method = 'GET'): Request {
  return new Request(`${publicUrl}/api/v1/runs`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...headers },
  })
}

export function newAddress(): string {
  return [10, ...randomBytes(3)].join('.')
}

export async function allRefused(
  attempts: readonly Promise<unknown>[],
  error: new (...args: never[]) => Error,
): Promise<void> {
  for (const answer of await Promise.allSettled(attempts)) {
    expect(answer).toEqual({ status: 'rejected', reason: expect.any(error) })
  }
}
