/** A tenant's credentials: which there are, set and checked. Values go in, and none ever comes out or is recorded. */
import { createRoute, z } from '@hono/zod-openapi'
import type { CredentialInfo } from '../../credentials/store.ts'
import { serviceNames } from '../../services/registry.ts'
import { type ApiRoutes, newRoutes } from './env.ts'
import { record } from './record.ts'
import { jsonAnswer, jsonBody, problemAnswer, problems, slug, time } from './schemas.ts'
import { openTenant } from './tenant-access.ts'

const service = z.enum(serviceNames).openapi('Service')

const credentialSchema = z
  .object({
    service: z.string(),
    key: z.string(),
    status: z
      .enum(['active', 'invalid'])
      .describe('`invalid`: the provider refused it, and runs that need the service are held.'),
    lastFour: z
      .string()
      .nullable()
      .describe('Of the value, to tell values apart; null where it is too short to show any.'),
    lastVerifiedAt: time.nullable(),
    lastError: z.string().nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Credential')

const checkSchema = z
  .object({
    tenantId: slug,
    service: z.string(),
    result: z
      .enum(['valid', 'refused', 'unknown'])
      .describe('`unknown`: the provider did not say; what was known before stands.'),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
  })
  .openapi('CredentialCheck')

const params = z.object({ tenantId: slug, service })
const missing = { 404: problemAnswer('There is no such tenant for whoever asks.') }
const invalid = { 422: problemAnswer('The service has no such credential, or the value cannot be right.') }

const list = createRoute({
  method: 'get',
  path: '/tenants/{tenantId}/credentials',
  operationId: 'listCredentials',
  summary: 'Which credentials the tenant has; never their values',
  request: { params: z.object({ tenantId: slug }) },
  responses: {
    200: jsonAnswer('All of them.', z.object({ credentials: z.array(credentialSchema) })),
    ...problems,
    ...missing,
  },
})

const set = createRoute({
  method: 'put',
  path: '/tenants/{tenantId}/credentials/{service}',
  operationId: 'setCredentials',
  summary: 'Set credentials, all or none; what is held for want of them goes on',
  request: { params, ...jsonBody(z.record(z.string().max(100), z.string())) },
  responses: { 204: { description: 'Set.' }, ...problems, ...missing, ...invalid },
})

const remove = createRoute({
  method: 'delete',
  path: '/tenants/{tenantId}/credentials/{service}/{key}',
  operationId: 'deleteCredential',
  summary: 'Delete one; runs that need it are held from now on',
  request: { params: params.extend({ key: z.string().max(100) }) },
  responses: {
    200: jsonAnswer('Whether there was one.', z.object({ deleted: z.boolean() })),
    ...problems,
    ...missing,
    ...invalid,
  },
})

const verify = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/credentials/{service}/verify',
  operationId: 'verifyCredentials',
  summary: 'Ask the provider, with one cheap call, whether it takes them',
  request: { params },
  responses: {
    200: jsonAnswer('What the provider said.', checkSchema),
    ...problems,
    ...missing,
    409: problemAnswer('One that the service needs is missing, or cannot be decrypted.'),
  },
})

export function credentialRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(list, async (context) => {
      const { slug } = await openTenant(context, context.req.valid('param').tenantId, 'credentials:read')
      const listed = await context.get('platform').credentials.list(slug)
      return context.json({ credentials: listed.map(showCredential) }, 200)
    })
    .openapi(set, async (context) => {
      const { tenantId, service } = context.req.valid('param')
      await openTenant(context, tenantId, 'credentials:write')
      const values = context.req.valid('json')
      await context.get('platform').credentials.set(tenantId, service, values)
      const details = { keys: Object.keys(values).join(', ') }
      await record(context, { action: 'credential.set', tenantId, subject: service, details })
      return context.body(null, 204)
    })
    .openapi(remove, async (context) => {
      const { tenantId, service, key } = context.req.valid('param')
      await openTenant(context, tenantId, 'credentials:write')
      const deleted = await context.get('platform').credentials.delete(tenantId, service, key)
      if (deleted) {
        await record(context, {
          action: 'credential.delete',
          tenantId,
          subject: service,
          details: { keys: key },
        })
      }
      return context.json({ deleted }, 200)
    })
    .openapi(verify, async (context) => {
      const { tenantId, service } = context.req.valid('param')
      await openTenant(context, tenantId, 'credentials:write')
      const { result, error } = await context.get('platform').credentials.verify(tenantId, service)
      await record(context, { action: 'credential.verify', tenantId, subject: service, details: { result } })
      const shown = error && { code: error.code, message: error.message }
      return context.json({ tenantId, service, result, error: shown }, 200)
    })
}

function showCredential(info: CredentialInfo): z.input<typeof credentialSchema> {
  const { service, key, status, lastFour, lastVerifiedAt, lastError, createdAt, updatedAt } = info
  return {
    service,
    key,
    status,
    lastFour,
    lastVerifiedAt: lastVerifiedAt?.toISOString() ?? null,
    lastError,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  }
}
