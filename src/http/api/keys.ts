/** API keys: of a tenant, and of the platform. A key itself is in the answer to its making and nowhere else. */
import { createRoute, z } from '@hono/zod-openapi'
import { type ApiKeyInfo, createApiKey, listApiKeys, revokeApiKey } from '../../auth/index.ts'
import type { Duration } from '../../task/duration.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit } from './env.ts'
import { cutPage } from './page.ts'
import { permission, personName, personOf } from './people.ts'
import { record } from './record.ts'
import { jsonAnswer, jsonBody, pageQuery, problemAnswer, problems, slug, time, uuid } from './schemas.ts'
import { openTenant } from './tenant-access.ts'

const keySchema = z
  .object({
    id: uuid,
    name: z.string(),
    prefix: z.string().describe('Its first characters.'),
    tenantId: slug.nullable().describe('Null: of the platform, good for every tenant.'),
    scopes: z.array(permission),
    expiresAt: time.nullable(),
    lastUsedAt: time.nullable().describe('To the minute.'),
    revokedAt: time.nullable(),
    createdAt: time,
  })
  .openapi('ApiKey')

const ofTenant = z.object({ tenantId: slug })
const keyPage = z.strictObject({ ...pageQuery, after: uuid.optional() })
const newKey = jsonBody(
  z.strictObject({
    name: personName.describe('What it is for.'),
    scopes: z.array(permission),
    expiresIn: z.string().max(20).optional().describe('Such as 90d; without, it does not expire.'),
  }),
)
const listed = jsonAnswer('A page.', z.object({ keys: z.array(keySchema), next: z.string().nullable() }))
const made = jsonAnswer('The key, this once.', keySchema.extend({ key: z.string() }).openapi('NewApiKey'))
const revoked = jsonAnswer('Whether it had not been revoked before.', z.object({ revoked: z.boolean() }))
const missing = { 404: problemAnswer('There is no such tenant or key for whoever asks.') }
const invalid = { 422: problemAnswer('The name, the scopes or the time cannot be used.') }

const list = createRoute({
  method: 'get',
  path: '/tenants/{tenantId}/keys',
  operationId: 'listKeys',
  summary: "The tenant's keys, newest first",
  request: { params: ofTenant, query: keyPage },
  responses: { 200: listed, ...problems, ...missing },
})

const create = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/keys',
  operationId: 'createKey',
  summary: 'Make a key that may do what its scopes say, for this tenant alone',
  request: { params: ofTenant, ...newKey },
  responses: { 201: made, ...problems, ...missing, ...invalid },
})

const revoke = createRoute({
  method: 'delete',
  path: '/tenants/{tenantId}/keys/{keyId}',
  operationId: 'revokeKey',
  summary: 'Revoke a key: it is refused from the next request on',
  request: { params: ofTenant.extend({ keyId: uuid }) },
  responses: { 200: revoked, ...problems, ...missing },
})

const listOfPlatform = createRoute({
  method: 'get',
  path: '/keys',
  operationId: 'listPlatformKeys',
  summary: 'The keys of the platform, newest first',
  request: { query: keyPage },
  responses: { 200: listed, ...problems },
})

const createOfPlatform = createRoute({
  method: 'post',
  path: '/keys',
  operationId: 'createPlatformKey',
  summary: 'Make a key of the platform, good for every tenant',
  request: newKey,
  responses: { 201: made, ...problems, ...invalid },
})

const revokeOfPlatform = createRoute({
  method: 'delete',
  path: '/keys/{keyId}',
  operationId: 'revokePlatformKey',
  summary: 'Revoke a key of the platform',
  request: { params: z.object({ keyId: uuid }) },
  responses: { 200: revoked, ...problems, 404: problemAnswer('There is no such key.') },
})

export function keyRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(list, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'people:write')
      return context.json(await listKeys(context, tenantId, context.req.valid('query')), 200)
    })
    .openapi(create, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'people:write')
      return context.json(await makeKey(context, tenantId, context.req.valid('json')), 201)
    })
    .openapi(revoke, async (context) => {
      const { tenantId, keyId } = context.req.valid('param')
      await openTenant(context, tenantId, 'people:write')
      return context.json(await revokeKey(context, tenantId, keyId), 200)
    })
    .openapi(listOfPlatform, async (context) => {
      permit(context, 'people:write', null)
      return context.json(await listKeys(context, null, context.req.valid('query')), 200)
    })
    .openapi(createOfPlatform, async (context) => {
      permit(context, 'people:write', null)
      return context.json(await makeKey(context, null, context.req.valid('json')), 201)
    })
    .openapi(revokeOfPlatform, async (context) => {
      permit(context, 'people:write', null)
      return context.json(await revokeKey(context, null, context.req.valid('param').keyId), 200)
    })
}

async function listKeys(
  context: ApiContext,
  tenantId: string | null,
  { limit, after }: z.output<typeof keyPage>,
) {
  const { auth } = await context.get('platform').ready()
  const keys = await listApiKeys(auth, { tenantId, limit: limit + 1, after })
  const { rows, next } = cutPage(keys, limit, ({ id }) => id)
  return { keys: rows.map(showKey), next }
}

interface AskedKey {
  name: string
  scopes: ApiKeyInfo['scopes']
  expiresIn?: string | undefined
}

async function makeKey(context: ApiContext, tenantId: string | null, { name, scopes, expiresIn }: AskedKey) {
  const by = personOf(context, 'people:write')
  const { auth } = await context.get('platform').ready()
  // What is no duration is refused there.
  const life = expiresIn as Duration | undefined
  const { key, ...info } = await createApiKey(auth, { tenantId, name, scopes, expiresIn: life }, by)
  const details = { prefix: info.prefix, scopes: info.scopes.join(', ') }
  await record(context, { action: 'key.create', tenantId, subject: info.id, details })
  return { ...showKey(info), key }
}

async function revokeKey(context: ApiContext, tenantId: string | null, keyId: string) {
  const by = personOf(context, 'people:write')
  const { auth } = await context.get('platform').ready()
  const revoked = await revokeApiKey(auth, keyId, by, { of: tenantId })
  if (revoked) await record(context, { action: 'key.revoke', tenantId, subject: keyId })
  return { revoked }
}

function showKey(info: ApiKeyInfo): z.input<typeof keySchema> {
  const { id, name, prefix, tenantId, scopes, expiresAt, lastUsedAt, revokedAt, createdAt } = info
  return {
    id,
    name,
    prefix,
    tenantId,
    scopes,
    expiresAt: expiresAt?.toISOString() ?? null,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
    revokedAt: revokedAt?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
  }
}
