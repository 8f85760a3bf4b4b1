/** Who belongs to a tenant, and as what. */
import { createRoute, z } from '@hono/zod-openapi'
import { addMember, changeMember, listUsers, removeMember, type User } from '../../auth/index.ts'
import { type ApiContext, type ApiRoutes, newRoutes } from './env.ts'
import { cutPage } from './page.ts'
import { permission, personOf, role, withheld } from './people.ts'
import { record } from './record.ts'
import { jsonAnswer, jsonBody, pageQuery, problemAnswer, problems, slug, time, uuid } from './schemas.ts'
import { openTenant } from './tenant-access.ts'

const memberSchema = z
  .object({
    userId: uuid,
    email: z.string(),
    name: z.string().nullable(),
    status: z.enum(['active', 'invited', 'disabled']),
    role,
    permissions: z.array(permission).describe('Beyond the role.'),
    withheld,
    lastLoginAt: time.nullable(),
  })
  .openapi('Member')

const standing = { role, permissions: z.array(permission).default([]) }
const params = z.object({ tenantId: slug, userId: uuid })
const changed = { 204: { description: 'Done.' } }
const missing = { 404: problemAnswer('There is no such tenant or user for whoever asks.') }
const invalid = { 422: problemAnswer('The role or the permissions cannot be given.') }
const lastOwner = { 409: problemAnswer('It is the last owner.') }

const list = createRoute({
  method: 'get',
  path: '/tenants/{tenantId}/members',
  operationId: 'listMembers',
  summary: 'The people of the tenant, by e-mail address',
  request: { params: z.object({ tenantId: slug }), query: z.strictObject(pageQuery) },
  responses: {
    200: jsonAnswer('A page.', z.object({ members: z.array(memberSchema), next: z.string().nullable() })),
    ...problems,
    ...missing,
  },
})

const add = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/members',
  operationId: 'addMember',
  summary: "Somebody who has an account becomes one; for operators, for a tenant's own people invite",
  request: {
    params: z.object({ tenantId: slug }),
    ...jsonBody(z.strictObject({ userId: uuid, ...standing })),
  },
  responses: {
    ...changed,
    ...problems,
    ...missing,
    409: problemAnswer('The account is of another tenant until an operator confirms its address.'),
    ...invalid,
  },
})

const change = createRoute({
  method: 'patch',
  path: '/tenants/{tenantId}/members/{userId}',
  operationId: 'changeMember',
  summary: 'Another role, and the permissions beyond it',
  request: { params, ...jsonBody(z.strictObject(standing)) },
  responses: { ...changed, ...problems, ...missing, ...invalid, ...lastOwner },
})

const remove = createRoute({
  method: 'delete',
  path: '/tenants/{tenantId}/members/{userId}',
  operationId: 'removeMember',
  summary: 'Somebody belongs to the tenant no more: oneself, or those who are not above',
  request: { params },
  responses: { ...changed, ...problems, ...missing, ...lastOwner },
})

export function memberRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(list, async (context) => {
      const { tenantId } = context.req.valid('param')
      const { limit, after } = context.req.valid('query')
      await openTenant(context, tenantId, 'people:write')
      const { auth } = await context.get('platform').ready()
      const listed = await listUsers(auth, tenantId, { limit: limit + 1, after })
      const { rows, next } = cutPage(listed, limit, (last) => last.email)
      return context.json({ members: rows.map((user) => showMember(user, tenantId)), next }, 200)
    })
    .openapi(add, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'people:write')
      const by = personOf(context, 'people:write')
      const { userId, role, permissions } = context.req.valid('json')
      const { auth } = await context.get('platform').ready()
      await addMember(auth, userId, { tenantId, role, permissions }, by)
      const details = { role, permissions: permissions.join(', ') }
      await record(context, { action: 'member.add', tenantId, subject: userId, details })
      return context.body(null, 204)
    })
    .openapi(change, async (context) => {
      const { tenantId, userId } = context.req.valid('param')
      await openTenant(context, tenantId, 'people:write')
      const by = personOf(context, 'people:write')
      const { role, permissions } = context.req.valid('json')
      const { auth } = await context.get('platform').ready()
      await changeMember(auth, userId, { tenantId, role, permissions }, by)
      const details = { role, permissions: permissions.join(', ') }
      await record(context, { action: 'member.change', tenantId, subject: userId, details })
      return context.body(null, 204)
    })
    .openapi(remove, async (context) => {
      const { tenantId, userId } = context.req.valid('param')
      if (!isLeaving(context, tenantId, userId)) await openTenant(context, tenantId, 'people:write')
      const by = personOf(context, 'people:write')
      const { auth } = await context.get('platform').ready()
      await removeMember(auth, userId, tenantId, by)
      await record(context, { action: 'member.remove', tenantId, subject: userId })
      return context.body(null, 204)
    })
}

/** Whoever leaves needs no permission. */
function isLeaving(context: ApiContext, tenantId: string, userId: string): boolean {
  const principal = context.get('principal')
  return principal.kind === 'user' && principal.id === userId && principal.memberships.has(tenantId)
}

function showMember(
  { id, email, name, status, memberships, lastLoginAt }: User,
  tenantId: string,
): z.input<typeof memberSchema> {
  const { role, permissions, withheld } = memberships.find((one) => one.tenantId === tenantId)!
  return {
    userId: id,
    email,
    name,
    status,
    role,
    permissions,
    withheld,
    lastLoginAt: lastLoginAt?.toISOString() ?? null,
  }
}
