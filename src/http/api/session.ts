/** One's own sessions: signing in and out, who one is, the tenant one looks at, one's password. */
import { createRoute, z } from '@hono/zod-openapi'
import {
  can,
  changeOwnPassword,
  checkSameSite,
  csrfTokenOf,
  listSessions,
  login,
  logout,
  type Permission,
  type Principal,
  parseEmail,
  permissions,
  revokeSession,
  type SessionInfo,
  switchTenant,
} from '../../auth/index.ts'
import { type ClientAddress, clientAddress } from '../client-address.ts'
import { smallBody } from './body-size.ts'
import { type ApiRoutes, newRoutes } from './env.ts'
import { email, password, permission, role, signedIn } from './people.ts'
import { record } from './record.ts'
import { jsonAnswer, jsonBody, problemAnswer, problems, slug, time, uuid } from './schemas.ts'

const signInSchema = z
  .object({
    csrfToken: z.string().describe('To be sent in x-csrf-token with every request that changes something.'),
    user: z.object({ id: uuid, email: z.string() }),
  })
  .openapi('SignIn')

const whoSchema = z
  .object({
    kind: z.enum(['user', 'key']),
    id: uuid,
    name: z.string().describe('E-mail address of a user; name and first characters of a key.'),
    tenantId: slug.nullable().describe("The one chosen; the key's own."),
    permissions: z.array(permission).describe('For every tenant at once.'),
    tenants: z
      .array(z.object({ tenantId: slug, role: role.nullable(), permissions: z.array(permission) }))
      .describe('What one belongs to. An operator reaches the others as well: see /tenants.'),
    csrfToken: z.string().nullable().describe('Null for a key, which needs none.'),
  })
  .openapi('Who')

const sessionSchema = z
  .object({
    id: uuid,
    isCurrent: z.boolean().describe('The one that asks.'),
    address: z.string().nullable(),
    userAgent: z.string().nullable(),
    createdAt: time,
    expiresAt: time.describe('Unless it is used again.'),
  })
  .openapi('Session')

const signIn = createRoute({
  method: 'post',
  path: '/session',
  operationId: 'signIn',
  summary:
    'Sign in; the answer sets the session cookie, and one by which this browser is known the next time',
  security: [],
  middleware: smallBody,
  request: jsonBody(z.strictObject({ email, password })),
  responses: {
    200: jsonAnswer('Signed in.', signInSchema),
    ...problems,
    401: problemAnswer('The e-mail address or the password is wrong: which of them is not told.'),
    403: problemAnswer('It comes from another site.'),
    429: problemAnswer('Too many tries; see Retry-After.'),
  },
})

const who = createRoute({
  method: 'get',
  path: '/session',
  operationId: 'whoAmI',
  summary: 'Who one is, and what one may where',
  responses: { 200: jsonAnswer('Whoever asks.', whoSchema), ...problems },
})

const signOut = createRoute({
  method: 'delete',
  path: '/session',
  operationId: 'signOut',
  summary: 'Sign out; the answer takes the session cookie away',
  responses: { 204: { description: 'Signed out.' }, ...problems },
})

const chooseTenant = createRoute({
  method: 'put',
  path: '/session/tenant',
  operationId: 'chooseTenant',
  summary: 'Choose the tenant that the session is about',
  request: jsonBody(z.strictObject({ tenantId: slug })),
  responses: { 200: jsonAnswer('Chosen.', z.object({ tenantId: slug })), ...problems },
})

const sessions = createRoute({
  method: 'get',
  path: '/sessions',
  operationId: 'listSessions',
  summary: 'Where one is signed in, newest first',
  responses: {
    200: jsonAnswer('The valid ones.', z.object({ sessions: z.array(sessionSchema) })),
    ...problems,
  },
})

const endSession = createRoute({
  method: 'delete',
  path: '/sessions/{sessionId}',
  operationId: 'endSession',
  summary: "End one of one's own sessions",
  request: { params: z.object({ sessionId: uuid }) },
  responses: {
    200: jsonAnswer(
      'Whether there was such a session, and it had not ended.',
      z.object({ ended: z.boolean() }),
    ),
    ...problems,
  },
})

const changePassword = createRoute({
  method: 'put',
  path: '/session/password',
  operationId: 'changePassword',
  summary: "Change one's own password; every session ends, this one included",
  request: jsonBody(z.strictObject({ current: password, next: password })),
  responses: {
    204: { description: 'Changed: sign in again.' },
    ...problems,
    401: problemAnswer('Nobody has signed in, or the current password is wrong.'),
    422: problemAnswer('The next one cannot be a password.'),
    429: problemAnswer('Too many tries; see Retry-After.'),
  },
})

/** For whoever is nobody yet. */
export function signInRoutes(addressOf?: ClientAddress): ApiRoutes {
  return newRoutes().openapi(signIn, async (context) => {
    const platform = context.get('platform')
    const { auth } = await platform.ready()
    checkSameSite(context.req.raw, auth.publicUrl)
    const { email, password } = context.req.valid('json')
    const { cookie, deviceCookie, csrfToken, userId, sessionId } = await login(auth, {
      email,
      password,
      address: addressOf
        ? addressOf(context.req.raw)
        : clientAddress(context, platform.config.trustedProxies),
      cookies: context.req.header('cookie') ?? null,
      userAgent: context.req.header('user-agent') ?? null,
    })
    const user = { id: userId, email: parseEmail(email) }
    const actor = { kind: 'user', id: user.id, name: user.email } as const
    await record(context, { action: 'session.open', tenantId: null, subject: sessionId }, actor)
    context.header('set-cookie', cookie)
    context.header('set-cookie', deviceCookie, { append: true })
    return context.json({ csrfToken, user }, 200)
  })
}

export function sessionRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(who, async (context) => {
      const principal = context.get('principal')
      const { auth } = await context.get('platform').ready()
      const csrfToken = principal.kind === 'user' ? csrfTokenOf(auth, context.req.raw) : null
      return context.json({ ...describeWho(principal), csrfToken }, 200)
    })
    .openapi(signOut, async (context) => {
      const user = signedIn(context)
      const { auth } = await context.get('platform').ready()
      context.header('set-cookie', await logout(auth, user))
      await record(context, { action: 'session.end', tenantId: null, subject: user.sessionId })
      return context.body(null, 204)
    })
    .openapi(chooseTenant, async (context) => {
      const user = signedIn(context)
      const { tenantId } = context.req.valid('json')
      const { auth } = await context.get('platform').ready()
      await switchTenant(auth, user.sessionId, tenantId)
      return context.json({ tenantId }, 200)
    })
    .openapi(sessions, async (context) => {
      const user = signedIn(context)
      const { auth } = await context.get('platform').ready()
      const listed = await listSessions(auth, user.id)
      return context.json({ sessions: listed.map((one) => describeSession(one, user.sessionId)) }, 200)
    })
    .openapi(endSession, async (context) => {
      const user = signedIn(context)
      const { sessionId } = context.req.valid('param')
      const { auth } = await context.get('platform').ready()
      const ended = await revokeSession(auth, user.id, sessionId)
      if (ended) await record(context, { action: 'session.end', tenantId: null, subject: sessionId })
      return context.json({ ended }, 200)
    })
    .openapi(changePassword, async (context) => {
      const user = signedIn(context)
      const { auth } = await context.get('platform').ready()
      await changeOwnPassword(auth, user, context.req.valid('json'))
      await record(context, { action: 'user.password', tenantId: null, subject: user.id })
      context.header('set-cookie', await logout(auth, user))
      return context.body(null, 204)
    })
}

function describeWho(principal: Principal) {
  const { kind, id, name, tenantId } = principal
  const tenants =
    principal.kind === 'user'
      ? [...principal.memberships].map(([slug, { role }]) => ({ tenantId: slug, role }))
      : tenantId === null
        ? []
        : [{ tenantId, role: null }]
  return {
    kind,
    id,
    name,
    tenantId,
    permissions: permittedTo(principal, null),
    tenants: tenants.map((one) => ({ ...one, permissions: permittedTo(principal, one.tenantId) })),
  }
}

function permittedTo(principal: Principal, tenantId: string | null): Permission[] {
  return permissions.filter((one) => can(principal, one, tenantId))
}

function describeSession({ id, address, userAgent, createdAt, expiresAt }: SessionInfo, current: string) {
  return {
    id,
    isCurrent: id === current,
    address,
    userAgent,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  }
}
