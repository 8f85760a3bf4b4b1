/** Tenants: those one may see, and their life, which is the platform's to decide. */
import { createRoute, z } from '@hono/zod-openapi'
import { createTenant } from '../../tenants/create.ts'
import { deleteTenant } from '../../tenants/delete.ts'
import { listTenantPage } from '../../tenants/list.ts'
import { resumeTenant, suspendTenant } from '../../tenants/suspend.ts'
import type { Tenant } from '../../tenants/tenant.ts'
import { isTimezone } from '../../tenants/timezone.ts'
import { updateTenant } from '../../tenants/update.ts'
import { type ApiRoutes, newRoutes, permit, permittedTenants } from './env.ts'
import { cutPage } from './page.ts'
import { record } from './record.ts'
import { jsonAnswer, jsonBody, pageQuery, problemAnswer, problems, reason, slug, time } from './schemas.ts'
import { openTenant } from './tenant-access.ts'

const tenantSchema = z
  .object({
    tenantId: slug,
    name: z.string(),
    status: z.enum(['onboarding', 'active', 'suspended']),
    timezone: z.string().describe('IANA name.'),
    createdAt: time,
  })
  .openapi('Tenant')

const name = z.string().max(1_000)
const timezone = z
  .string()
  .max(100)
  .refine(isTimezone, 'is no time zone: use an IANA name like Europe/Berlin')
const params = z.object({ tenantId: slug })
const found = jsonAnswer('The tenant.', tenantSchema)
const missing = { 404: problemAnswer('There is no such tenant for whoever asks.') }

const list = createRoute({
  method: 'get',
  path: '/tenants',
  operationId: 'listTenants',
  summary: 'The tenants whose runs one may see, by their ids',
  request: { query: z.strictObject({ ...pageQuery, after: slug.optional() }) },
  responses: {
    200: jsonAnswer('A page.', z.object({ tenants: z.array(tenantSchema), next: z.string().nullable() })),
    ...problems,
  },
})

const create = createRoute({
  method: 'post',
  path: '/tenants',
  operationId: 'createTenant',
  summary: 'Make a tenant, all or nothing: its schema, role and tables',
  request: jsonBody(z.strictObject({ slug, name: name.optional(), timezone: timezone.optional() })),
  responses: {
    201: found,
    ...problems,
    409: problemAnswer('It exists already.'),
    422: problemAnswer('The name cannot be used.'),
  },
})

const show = createRoute({
  method: 'get',
  path: '/tenants/{tenantId}',
  operationId: 'getTenant',
  summary: 'One tenant',
  request: { params },
  responses: { 200: found, ...problems, ...missing },
})

const change = createRoute({
  method: 'patch',
  path: '/tenants/{tenantId}',
  operationId: 'changeTenant',
  summary: 'Change the name or the time zone; what is left out stays',
  request: {
    params,
    ...jsonBody(
      z
        .strictObject({ name: name.optional(), timezone: timezone.optional() })
        .refine((asked) => Object.keys(asked).length > 0, 'says nothing to change'),
    ),
  },
  responses: { 200: found, ...problems, ...missing, 422: problemAnswer('The name cannot be used.') },
})

const suspend = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/suspend',
  operationId: 'suspendTenant',
  summary: 'Nothing of the tenant runs until it is resumed; what is queued waits',
  request: { params, ...jsonBody(z.strictObject({ reason })) },
  responses: { 200: found, ...problems, ...missing },
})

const resume = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/resume',
  operationId: 'resumeTenant',
  summary: "Let the tenant's runs go on",
  request: { params },
  responses: { 200: found, ...problems, ...missing },
})

const remove = createRoute({
  method: 'delete',
  path: '/tenants/{tenantId}',
  operationId: 'deleteTenant',
  summary: 'Delete the tenant and everything it has',
  request: {
    params,
    query: z.strictObject({
      force: z.enum(['true', 'false']).optional().describe('Although runs are open: they are lost.'),
    }),
    ...jsonBody(z.strictObject({ reason })),
  },
  responses: {
    204: { description: 'It is gone.' },
    ...problems,
    ...missing,
    409: problemAnswer('Runs are open, and nothing has changed.'),
  },
})

export function tenantRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(list, async (context) => {
      const { limit, after } = context.req.valid('query')
      const tenantIds = permittedTenants(context, 'runs:read')
      const { tenants } = await context.get('platform').ready()
      const listed = await listTenantPage(tenants, { tenantIds, limit: limit + 1, after })
      const { rows, next } = cutPage(listed, limit, (last) => last.slug)
      return context.json({ tenants: rows.map(showTenant), next }, 200)
    })
    .openapi(create, async (context) => {
      permit(context, 'tenants:write', null)
      const { slug, ...options } = context.req.valid('json')
      const { tenants } = await context.get('platform').ready()
      const created = await createTenant(tenants, slug, options)
      await record(context, { action: 'tenant.create', tenantId: slug })
      return context.json(showTenant(created), 201)
    })
    .openapi(show, async (context) => {
      const tenant = await openTenant(context, context.req.valid('param').tenantId, 'runs:read')
      return context.json(showTenant(tenant), 200)
    })
    .openapi(change, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'tenants:write')
      const asked = context.req.valid('json')
      const { tenants } = await context.get('platform').ready()
      const changed =
        asked.timezone === undefined
          ? await updateTenant(tenants, tenantId, asked)
          : await (await context.get('platform').ticker()).change(() =>
              updateTenant(tenants, tenantId, asked),
            )
      // Once more, for it is committed only now.
      tenants.directory.invalidate(tenantId)
      const details = { name: asked.name ?? null, timezone: asked.timezone ?? null }
      await record(context, { action: 'tenant.change', tenantId, details })
      return context.json(showTenant(changed), 200)
    })
    .openapi(suspend, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'tenants:write')
      const { reason } = context.req.valid('json')
      const { tenants } = await context.get('platform').ready()
      await suspendTenant(tenants, tenantId)
      await record(context, { action: 'tenant.suspend', tenantId, reason })
      return context.json(showTenant(await openTenant(context, tenantId, 'tenants:write')), 200)
    })
    .openapi(resume, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'tenants:write')
      const { tenants } = await context.get('platform').ready()
      await resumeTenant(tenants, tenantId)
      await record(context, { action: 'tenant.resume', tenantId })
      return context.json(showTenant(await openTenant(context, tenantId, 'tenants:write')), 200)
    })
    .openapi(remove, async (context) => {
      const { tenantId } = context.req.valid('param')
      await openTenant(context, tenantId, 'tenants:write')
      const force = context.req.valid('query').force === 'true'
      const { reason } = context.req.valid('json')
      const { tenants, clients } = await context.get('platform').ready()
      await deleteTenant(tenants, tenantId, { force })
      await clients.tenantChanged(tenantId)
      await record(context, { action: 'tenant.delete', tenantId, reason, details: { force } })
      return context.body(null, 204)
    })
}

function showTenant(tenant: Tenant): z.input<typeof tenantSchema> {
  const { slug, name, status, timezone, createdAt } = tenant
  return { tenantId: slug, name, status, timezone, createdAt: createdAt.toISOString() }
}
