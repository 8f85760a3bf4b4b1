/** The audit log: who did what to which tenant, and why. */
import { createRoute, z } from '@hono/zod-openapi'
import type { AuditEntry } from '../../audit/audit.ts'
import { type ApiRoutes, newRoutes, tenantsWithin } from './env.ts'
import { jsonAnswer, pageQuery, problems, slug, text, time } from './schemas.ts'
import { tenantsAsked } from './tenants-asked.ts'

export const actorSchema = z
  .object({
    kind: z.enum(['user', 'key', 'cli', 'app']),
    id: z.string().nullable(),
    name: z.string(),
  })
  .openapi('Actor')

const entrySchema = z
  .object({
    id: z.string(),
    at: time,
    actor: actorSchema,
    action: z.string().describe('run.replay, credential.set'),
    tenantId: slug.nullable(),
    subject: z.string().nullable(),
    reason: z.string().nullable(),
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  })
  .openapi('AuditEntry')

const listAudit = createRoute({
  method: 'get',
  path: '/audit',
  operationId: 'listAudit',
  summary: 'The audit log, newest first',
  request: {
    query: z.strictObject({
      tenant: slug.optional(),
      action: text(100).optional(),
      ...pageQuery,
    }),
  },
  responses: {
    200: jsonAnswer(
      'A page of it.',
      z.object({ entries: z.array(entrySchema), next: z.string().nullable() }),
    ),
    ...problems,
  },
})

export function auditRoutes(): ApiRoutes {
  return newRoutes().openapi(listAudit, async (context) => {
    const { tenant, action, limit, after } = context.req.valid('query')
    const asked = tenantsAsked(context, 'audit:read', tenant)
    const tenantIds = asked.filter((one) => one !== null)
    const { entries, next } = await context.get('platform').audit.list({
      limit,
      ...(!asked.includes(null) && { tenantIds }),
      // The log outlives tenants, and a slug may be another's by now.
      ofPresentTenants: tenantsWithin(context, 'audit:read') !== null,
      ...(action !== undefined && { action }),
      ...(after !== undefined && { after }),
    })
    return context.json({ entries: entries.map(showEntry), next }, 200)
  })
}

function showEntry(entry: AuditEntry): z.input<typeof entrySchema> {
  const { id, at, actor, action, tenantId, subject, reason, details } = entry
  return {
    id,
    at: at.toISOString(),
    actor: { kind: actor.kind, id: actor.id, name: actor.name },
    action,
    tenantId,
    subject,
    reason,
    details,
  }
}
