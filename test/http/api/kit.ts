/** What tests of the API share: a platform, the app, and people and keys of every kind. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import {
  addMember,
  createApiKey,
  createUser,
  login,
  switchTenant,
  type TenantRole,
} from '../../../src/auth/index.ts'
import type { Permission } from '../../../src/auth/permissions.ts'
import { createHttpApp } from '../../../src/http/index.ts'
import type { PlatformOptions } from '../../../src/platform.ts'
import { createTestPlatform, type TestPlatform } from '../../../src/testing/index.ts'

export let kit: TestPlatform
export let app: ReturnType<typeof createHttpApp>

export function onPlatform(options: PlatformOptions & { engine?: 'pg-boss' | 'inline' } = {}): void {
  beforeAll(async () => {
    kit = await createTestPlatform({
      engine: 'pg-boss',
      encryptionKeys: randomBytes(32).toString('base64'),
      ...options,
    })
    app = createHttpApp({ platform: kit.platform })
  })
  afterAll(() => kit.close())
}

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: what the API answers is what the test says it is.
  body: any
  headers: Headers
}

/** Sends requests as one person or key would. */
export interface Caller {
  get(path: string): Promise<Answer>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  put(path: string, body?: unknown): Promise<Answer>
  patch(path: string, body?: unknown): Promise<Answer>
  delete(path: string, body?: unknown): Promise<Answer>
}

export const nobody = callerWith({})

/** A key of a tenant, or of the platform (null), with these scopes. */
export async function keyOf(tenantId: string | null, scopes: readonly Permission[]): Promise<Caller> {
  return callerWith({ authorization: `Bearer ${await keyText(tenantId, scopes)}` })
}

export async function keyText(tenantId: string | null, scopes: readonly Permission[]): Promise<string> {
  const { auth } = await kit.platform.ready()
  return (await createApiKey(auth, { tenantId, name: 'test', scopes }, null)).key
}

/** Somebody who has signed in, and who can choose one of their tenants. */
export interface Person extends Caller {
  /** As another site would make their browser send requests. */
  withoutToken: Caller
  chooses(tenantId: string): Promise<void>
}

/** Of one tenant or of several, or an operator. */
export async function userOf(role: TenantRole | 'operator', ...tenantIds: string[]): Promise<Person> {
  const { auth } = await kit.platform.ready()
  const [email, password] = [`${randomBytes(6).toString('hex')}@x.test`, randomBytes(12).toString('hex')]
  const userId = await createUser(auth, { email, password, operator: role === 'operator' }, null)
  for (const tenantId of tenantIds) {
    await addMember(auth, userId, { tenantId, role: role as TenantRole }, null)
  }
  const signedIn = await login(auth, { email, password, address: null, userAgent: null })
  const { cookie, csrfToken } = signedIn
  const headers = { cookie: cookie.split(';')[0]!, 'x-csrf-token': csrfToken, origin: 'http://test' }
  return {
    ...callerWith(headers),
    withoutToken: callerWith({ cookie: headers.cookie }),
    chooses: async (tenantId) => void (await switchTenant(auth, signedIn.sessionId, tenantId)),
  }
}

export function callerWith(headers: Record<string, string>): Caller {
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    more: Record<string, string> = {},
  ): Promise<Answer> => {
    const response = await app.request(`http://test/api/v1${path}`, {
      method,
      headers: { ...headers, ...more, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json')
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers }
  }
  return {
    get: (path) => send('GET', path),
    post: (path, body, more) => send('POST', path, body, more),
    put: (path, body) => send('PUT', path, body),
    patch: (path, body) => send('PATCH', path, body),
    delete: (path, body) => send('DELETE', path, body),
  }
}
