/** The accounts of people, which are the operators' to make and to disable. */
import { createRoute, z } from '@hono/zod-openapi'
import {
  confirmAddress,
  createUser,
  disableUser,
  enableUser,
  listUsers,
  setPassword,
  type User,
} from '../../auth/index.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit } from './env.ts'
import { cutPage } from './page.ts'
import { email, password, permission, personName, personOf, role, withheld } from './people.ts'
import { record } from './record.ts'
import { jsonAnswer, jsonBody, pageQuery, problemAnswer, problems, slug, time, uuid } from './schemas.ts'

const membershipSchema = z
  .object({ tenantId: slug, role, permissions: z.array(permission), withheld })
  .openapi('Membership')

const userSchema = z
  .object({
    id: uuid,
    email: z.string(),
    name: z.string().nullable(),
    status: z.enum(['active', 'invited', 'disabled']),
    addressConfirmed: z
      .boolean()
      .describe('False: made with an invitation of a tenant, and one of its people alone.'),
    operator: z.boolean(),
    permissions: z.array(permission).describe('Of an operator, beyond the role, for every tenant.'),
    memberships: z.array(membershipSchema),
    lastLoginAt: time.nullable(),
    createdAt: time,
  })
  .openapi('User')

const params = z.object({ userId: uuid })
const missing = { 404: problemAnswer('There is no such user.') }
const statusAnswer = jsonAnswer('As it is now.', z.object({ status: z.enum(['active', 'disabled']) }))

const list = createRoute({
  method: 'get',
  path: '/users',
  operationId: 'listUsers',
  summary: 'Everybody, by e-mail address',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonAnswer('A page.', z.object({ users: z.array(userSchema), next: z.string().nullable() })),
    ...problems,
  },
})

const create = createRoute({
  method: 'post',
  path: '/users',
  operationId: 'createUser',
  summary: 'Make an account',
  request: jsonBody(
    z.strictObject({
      email,
      password,
      name: personName.optional(),
      operator: z.boolean().default(false),
      permissions: z
        .array(permission)
        .default([])
        .describe('Of an operator, beyond the role, such as payload:read.'),
      membership: z
        .strictObject({ tenantId: slug, role, permissions: z.array(permission).default([]) })
        .optional(),
    }),
  ),
  responses: {
    201: jsonAnswer('Made.', z.object({ id: uuid })),
    ...problems,
    404: problemAnswer('There is no such tenant.'),
    409: problemAnswer('There is such a user already.'),
    422: problemAnswer('The address, the password or the permissions cannot be used.'),
  },
})

const disable = createRoute({
  method: 'post',
  path: '/users/{userId}/disable',
  operationId: 'disableUser',
  summary: 'Nobody signs in with it any more, and every session of it ends',
  request: { params },
  responses: { 200: statusAnswer, ...problems, ...missing },
})

const enable = createRoute({
  method: 'post',
  path: '/users/{userId}/enable',
  operationId: 'enableUser',
  summary: 'It can be signed in with again, by the password of before',
  request: { params },
  responses: { 200: statusAnswer, ...problems, ...missing },
})

const confirm = createRoute({
  method: 'post',
  path: '/users/{userId}/confirm',
  operationId: 'confirmUser',
  summary: 'Whose address it is has been made sure: the account may belong to any tenant',
  request: { params },
  responses: {
    200: jsonAnswer('Whether it had not been confirmed before.', z.object({ confirmed: z.boolean() })),
    ...problems,
    ...missing,
  },
})

const changePassword = createRoute({
  method: 'put',
  path: '/users/{userId}/password',
  operationId: 'setUserPassword',
  summary: "Set somebody's password; every session of theirs ends",
  request: { params, ...jsonBody(z.strictObject({ password })) },
  responses: {
    204: { description: 'Set.' },
    ...problems,
    403: problemAnswer('They may more than whoever asks, who could then sign in as them.'),
    ...missing,
    422: problemAnswer('It cannot be a password.'),
  },
})

export function userRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(list, async (context) => {
      operatorOf(context)
      const { limit, after } = context.req.valid('query')
      const { auth } = await context.get('platform').ready()
      const listed = await listUsers(auth, null, { limit: limit + 1, after })
      const { rows, next } = cutPage(listed, limit, (last) => last.email)
      return context.json({ users: rows.map(showUser), next }, 200)
    })
    .openapi(create, async (context) => {
      const by = operatorOf(context)
      const asked = context.req.valid('json')
      const { auth } = await context.get('platform').ready()
      const id = await createUser(auth, asked, by)
      const { operator, membership } = asked
      await record(context, {
        action: 'user.create',
        tenantId: membership?.tenantId ?? null,
        subject: id,
        details: { operator, role: membership?.role ?? null },
      })
      return context.json({ id }, 201)
    })
    .openapi(disable, async (context) => {
      const by = operatorOf(context)
      const { userId } = context.req.valid('param')
      const { auth } = await context.get('platform').ready()
      await disableUser(auth, userId, by)
      await record(context, { action: 'user.disable', tenantId: null, subject: userId })
      return context.json({ status: 'disabled' as const }, 200)
    })
    .openapi(enable, async (context) => {
      const by = operatorOf(context)
      const { userId } = context.req.valid('param')
      const { auth } = await context.get('platform').ready()
      await enableUser(auth, userId, by)
      await record(context, { action: 'user.enable', tenantId: null, subject: userId })
      return context.json({ status: 'active' as const }, 200)
    })
    .openapi(confirm, async (context) => {
      const by = operatorOf(context)
      const { userId } = context.req.valid('param')
      const { auth } = await context.get('platform').ready()
      const confirmed = await confirmAddress(auth, userId, by)
      if (confirmed) await record(context, { action: 'user.confirm', tenantId: null, subject: userId })
      return context.json({ confirmed }, 200)
    })
    .openapi(changePassword, async (context) => {
      const by = operatorOf(context)
      const { userId } = context.req.valid('param')
      const { password } = context.req.valid('json')
      const { auth } = await context.get('platform').ready()
      await setPassword(auth, userId, password, by)
      await record(context, { action: 'user.password', tenantId: null, subject: userId })
      return context.body(null, 204)
    })
}

function operatorOf(context: ApiContext) {
  permit(context, 'people:write', null)
  return personOf(context, 'people:write')
}

function showUser(user: User): z.input<typeof userSchema> {
  const { lastLoginAt, createdAt, ...rest } = user
  return {
    ...rest,
    lastLoginAt: lastLoginAt?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
  }
}
