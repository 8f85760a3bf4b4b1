/** Inviting somebody into a tenant, and accepting it, for which the token is all that is needed. */
import { createRoute, z } from '@hono/zod-openapi'
import {
  acceptInvitation,
  checkSameSite,
  createInvitation,
  type Invitation,
  listInvitations,
  principalOf,
  revokeInvitation,
  type UserPrincipal,
} from '../../auth/index.ts'
import { ForbiddenError } from '../../errors.ts'
import { smallBody } from './body-size.ts'
import { type ApiContext, type ApiRoutes, newRoutes } from './env.ts'
import { cutPage } from './page.ts'
import { email, password, personName, personOf, role } from './people.ts'
import { record } from './record.ts'
import { jsonAnswer, jsonBody, pageQuery, problemAnswer, problems, slug, time, uuid } from './schemas.ts'
import { openTenant } from './tenant-access.ts'

const invitationSchema = z
  .object({
    id: uuid,
    tenantId: slug,
    email: z.string(),
    role,
    invitedBy: z.string().describe('E-mail address of the sender.'),
    status: z.enum(['pending', 'accepted', 'expired', 'revoked']),
    expiresAt: time,
    createdAt: time,
  })
  .openapi('Invitation')

const params = z.object({ tenantId: slug })
const missing = { 404: problemAnswer('There is no such tenant for whoever asks.') }

const create = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/invitations',
  operationId: 'createInvitation',
  summary: 'Invite an e-mail address; one that waits for the same address is replaced',
  request: { params, ...jsonBody(z.strictObject({ email, role })) },
  responses: {
    201: jsonAnswer(
      'The token, this once: send it to the one who is invited. An account made with it is of this tenant alone.',
      z.object({ id: uuid, token: z.string(), expiresAt: time }),
    ),
    ...problems,
    ...missing,
    422: problemAnswer('The address cannot be used.'),
  },
})

const list = createRoute({
  method: 'get',
  path: '/tenants/{tenantId}/invitations',
  operationId: 'listInvitations',
  summary: "The tenant's invitations, newest first",
  request: { params, query: z.strictObject({ ...pageQuery, after: uuid.optional() }) },
  responses: {
    200: jsonAnswer(
      'A page.',
      z.object({ invitations: z.array(invitationSchema), next: z.string().nullable() }),
    ),
    ...problems,
    ...missing,
  },
})

const revoke = createRoute({
  method: 'delete',
  path: '/tenants/{tenantId}/invitations/{invitationId}',
  operationId: 'revokeInvitation',
  summary: 'Take an invitation back',
  request: { params: params.extend({ invitationId: uuid }) },
  responses: {
    200: jsonAnswer('Whether there was one that waited.', z.object({ revoked: z.boolean() })),
    ...problems,
    ...missing,
  },
})

const accept = createRoute({
  method: 'post',
  path: '/invitations/accept',
  operationId: 'acceptInvitation',
  summary: 'Accept: as who has signed in, or with a new account for the invited address',
  security: [],
  middleware: smallBody,
  request: jsonBody(
    z.strictObject({
      token: z.string().max(200),
      account: z.strictObject({ password, name: personName.optional() }).optional(),
    }),
  ),
  responses: {
    200: jsonAnswer('Accepted.', z.object({ tenantId: slug, userId: uuid })),
    ...problems,
    403: problemAnswer('There is an account of this address: sign in first. Or it comes from another site.'),
    409: problemAnswer('The account is of another tenant until an operator confirms its address.'),
    422: problemAnswer('The invitation is not valid for whoever asks, or the password cannot be used.'),
  },
})

export function invitationRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(create, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'people:write')
      const by = personOf(context, 'people:write')
      const { auth } = await context.get('platform').ready()
      const asked = context.req.valid('json')
      const { id, token, expiresAt } = await createInvitation(auth, { tenantId, ...asked }, by)
      const details = { role: asked.role }
      await record(context, { action: 'invitation.create', tenantId, subject: id, details })
      return context.json({ id, token, expiresAt: expiresAt.toISOString() }, 201)
    })
    .openapi(list, async (context) => {
      const { tenantId } = context.req.valid('param')
      const { limit, after } = context.req.valid('query')
      await openTenant(context, tenantId, 'people:write')
      const { auth } = await context.get('platform').ready()
      const listed = await listInvitations(auth, tenantId, { limit: limit + 1, after })
      const { rows, next } = cutPage(listed, limit, ({ id }) => id)
      return context.json({ invitations: rows.map(showInvitation), next }, 200)
    })
    .openapi(revoke, async (context) => {
      const { tenantId, invitationId: id } = context.req.valid('param')
      await openTenant(context, tenantId, 'people:write')
      const by = personOf(context, 'people:write')
      const { auth } = await context.get('platform').ready()
      const revoked = await revokeInvitation(auth, { id, tenantId }, by)
      if (revoked) await record(context, { action: 'invitation.revoke', tenantId, subject: id })
      return context.json({ revoked }, 200)
    })
}

/** For whoever may be nobody yet. */
export function acceptRoutes(): ApiRoutes {
  return newRoutes().openapi(accept, async (context) => {
    const { auth } = await context.get('platform').ready()
    checkSameSite(context.req.raw, auth.publicUrl)
    const user = await guest(context)
    const { token, account } = context.req.valid('json')
    const { tenantId, userId, email } = await acceptInvitation(auth, { token, user, account })
    const deed = { action: 'invitation.accept', tenantId, subject: userId }
    await record(context, deed, { kind: 'user', id: userId, name: email })
    return context.json({ tenantId, userId }, 200)
  })
}

/** Undefined: nobody has signed in. A key belongs to nothing but what it was made for. */
async function guest(context: ApiContext): Promise<UserPrincipal | undefined> {
  const { auth } = await context.get('platform').ready()
  const principal = await principalOf(auth, context.req.raw)
  if (principal?.kind === 'key') throw new ForbiddenError('people:write')
  return principal ?? undefined
}

function showInvitation({
  id,
  tenantId,
  email,
  role,
  invitedBy,
  status,
  expiresAt,
  createdAt,
}: Invitation): z.input<typeof invitationSchema> {
  return {
    id,
    tenantId,
    email,
    role,
    invitedBy,
    status,
    expiresAt: expiresAt.toISOString(),
    createdAt: createdAt.toISOString(),
  }
}
