/** Holds: which services are held for which tenants, why, until when, and how many runs wait. */
import { createRoute, z } from '@hono/zod-openapi'
import { type Hold, holdReasons } from '../../holds/hold.ts'
import { listHoldPage } from '../../holds/read.ts'
import { type ApiRoutes, newRoutes, permittedTenants } from './env.ts'
import { cutPage } from './page.ts'
import { jsonAnswer, pageQuery, problemAnswer, problems, slug, time } from './schemas.ts'
import { openTenant } from './tenant-access.ts'

const holdSchema = z
  .object({
    tenantId: slug,
    service: z.string(),
    reason: z.enum(holdReasons),
    code: z.string().describe("The provider's, or the platform's."),
    message: z.string(),
    placedAt: time,
    until: time
      .nullable()
      .describe('When it ends by itself; null: when the credential is replaced or verified.'),
    lifted: z.boolean().describe('It is over, and its runs are being let go.'),
    runs: z.int().describe('Runs that wait.'),
  })
  .openapi('Hold')

/** Of each it is counted how many runs wait. */
const largestPage = 100

const list = createRoute({
  method: 'get',
  path: '/holds',
  operationId: 'listHolds',
  summary: 'Services that are held: of one tenant, or of all whose runs one may see',
  request: {
    query: z.strictObject({
      ...pageQuery,
      limit: z.coerce.number().int().min(1).max(largestPage).default(50),
      after: z
        .string()
        .regex(/^[a-z][a-z0-9_]{0,47} [a-z]{1,40}$/, 'is not the `next` of a page of holds')
        .optional(),
      tenant: slug.optional(),
    }),
  },
  responses: {
    200: jsonAnswer('A page.', z.object({ holds: z.array(holdSchema), next: z.string().nullable() })),
    ...problems,
    404: problemAnswer('There is no such tenant for whoever asks.'),
  },
})

export function holdRoutes(): ApiRoutes {
  return newRoutes().openapi(list, async (context) => {
    const { tenant, limit, after } = context.req.valid('query')
    if (tenant !== undefined) await openTenant(context, tenant, 'runs:read')
    const tenantIds = tenant === undefined ? permittedTenants(context, 'runs:read') : [tenant]
    const { database, engine } = await context.get('platform').ready()
    const listed = await listHoldPage(database, { tenantIds, limit: limit + 1, after: readCursor(after) })
    const { rows, next } = cutPage(listed, limit, ({ tenantId, service }) => `${tenantId} ${service}`)
    const holds = await Promise.all(
      rows.map(async (hold) => ({
        ...showHold(hold),
        runs: await engine.countHeld(hold.tenantId, hold.service),
      })),
    )
    return context.json({ holds, next }, 200)
  })
}

function readCursor(after: string | undefined): { tenantId: string; service: string } | null {
  if (after === undefined) return null
  const [tenantId, service] = after.split(' ') as [string, string]
  return { tenantId, service }
}

function showHold({ tenantId, service, reason, code, message, placedAt, until, lifted }: Hold) {
  return {
    tenantId,
    service,
    reason,
    code,
    message,
    placedAt: placedAt.toISOString(),
    until: until?.toISOString() ?? null,
    lifted,
  }
}
