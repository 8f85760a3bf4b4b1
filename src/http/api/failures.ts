/** Failure groups: failed attempts that are alike, and whether anybody has dealt with them. */
import { createRoute, z } from '@hono/zod-openapi'
import { ForbiddenError, UnknownFailureGroupError } from '../../errors.ts'
import { type FailureGroup, failureStates } from '../../runs/failures.ts'
import { type ApiContext, type ApiRoutes, newRoutes, tenantsWithin } from './env.ts'
import { record } from './record.ts'
import {
  jsonAnswer,
  jsonBody,
  pageQuery,
  problemAnswer,
  problems,
  slug,
  text,
  time,
  uuid,
} from './schemas.ts'
import { tenantAsked, tenantsAsked } from './tenants-asked.ts'

const count = z.int().min(0)

const failureSchema = z
  .object({
    fingerprint: z.string(),
    state: z.enum(failureStates),
    taskId: z.string(),
    errorName: z.string(),
    errorCode: z.string().nullable(),
    message: z.string().describe('What their messages have in common.'),
    frame: z.string().nullable().describe("The app's own function and file that they came out of."),
    failures: count.describe('Failed attempts.'),
    tenants: count,
    firstSeenAt: time,
    lastSeenAt: time,
    resolvedAt: time.nullable(),
    ignoredUntil: time.nullable(),
    hours: z.array(count).describe('Failed attempts in each of the last 24 hours, the oldest first.'),
    last: z.object({ runId: uuid, tenantId: slug, message: z.string() }),
  })
  .openapi('Failure')

const failureParam = z.object({ fingerprint: z.string().regex(/^[0-9a-f]{1,64}$/, 'is no fingerprint') })
const tenantQuery = { tenant: slug.optional().describe('Everything is then counted of this tenant alone.') }
const noSuchFailure = { 404: problemAnswer('There is no such failure for whoever asks.') }
const done = jsonAnswer('It is done, for all tenants.', z.object({ fingerprint: z.string() }))

const listFailures = createRoute({
  method: 'get',
  path: '/failures',
  operationId: 'listFailures',
  summary: 'Failure groups, those seen last first',
  request: {
    query: z.strictObject({
      ...tenantQuery,
      task: text(100).optional(),
      state: z.enum(failureStates).optional(),
      ...pageQuery,
    }),
  },
  responses: {
    200: jsonAnswer(
      'A page of them.',
      z.object({ failures: z.array(failureSchema), next: z.string().nullable() }),
    ),
    ...problems,
  },
})

const getFailure = createRoute({
  method: 'get',
  path: '/failures/{fingerprint}',
  operationId: 'getFailure',
  summary: 'One failure group',
  request: { params: failureParam, query: z.strictObject(tenantQuery) },
  responses: { 200: jsonAnswer('The group.', failureSchema), ...noSuchFailure, ...problems },
})

const resolveFailure = createRoute({
  method: 'post',
  path: '/failures/{fingerprint}/resolve',
  operationId: 'resolveFailure',
  summary: 'It is dealt with; open again when it comes back',
  request: { params: failureParam },
  responses: { 200: done, ...noSuchFailure, ...problems },
})

const ignoreFailure = createRoute({
  method: 'post',
  path: '/failures/{fingerprint}/ignore',
  operationId: 'ignoreFailure',
  summary: 'It is not open before a time, whatever comes',
  request: { params: failureParam, ...jsonBody(z.strictObject({ until: time })) },
  responses: { 200: done, ...noSuchFailure, ...problems },
})

const reopenFailure = createRoute({
  method: 'post',
  path: '/failures/{fingerprint}/reopen',
  operationId: 'reopenFailure',
  summary: 'It is open again',
  request: { params: failureParam },
  responses: { 200: done, ...noSuchFailure, ...problems },
})

export function failureRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(listFailures, async (context) => {
      const { tenant, task, state, limit, after } = context.req.valid('query')
      const tenantId = tenantAsked(context, 'runs:read', tenant)
      if (tenantId === undefined) return context.json({ failures: [], next: null }, 200)
      const { groups, next } = await failuresOf(context).list({
        limit,
        ...(tenantId !== null && { tenantId }),
        ...(task !== undefined && { taskId: task }),
        ...(state !== undefined && { states: [state] }),
        ...(after !== undefined && { after }),
      })
      return context.json({ failures: groups.map(showFailure), next }, 200)
    })
    .openapi(getFailure, async (context) => {
      const { fingerprint } = context.req.valid('param')
      const tenantId = tenantAsked(context, 'runs:read', context.req.valid('query').tenant)
      if (tenantId === undefined) throw new UnknownFailureGroupError(fingerprint)
      const group = await failuresOf(context).get(fingerprint, tenantId === null ? {} : { tenantId })
      return context.json(showFailure(group), 200)
    })
    .openapi(resolveFailure, async (context) => {
      const { fingerprint } = context.req.valid('param')
      const tenantId = await permitMark(context, fingerprint)
      await failuresOf(context).resolve(fingerprint)
      await record(context, { action: 'failure.resolve', tenantId, subject: fingerprint })
      return context.json({ fingerprint }, 200)
    })
    .openapi(ignoreFailure, async (context) => {
      const { fingerprint } = context.req.valid('param')
      const { until } = context.req.valid('json')
      const tenantId = await permitMark(context, fingerprint)
      await failuresOf(context).ignore(fingerprint, new Date(until))
      await record(context, { action: 'failure.ignore', tenantId, subject: fingerprint, details: { until } })
      return context.json({ fingerprint }, 200)
    })
    .openapi(reopenFailure, async (context) => {
      const { fingerprint } = context.req.valid('param')
      const tenantId = await permitMark(context, fingerprint)
      await failuresOf(context).reopen(fingerprint)
      await record(context, { action: 'failure.reopen', tenantId, subject: fingerprint })
      return context.json({ fingerprint }, 200)
    })
}

function failuresOf(context: ApiContext) {
  return context.get('platform').failures
}

/**
 * A mark holds for all tenants that the group is of, so whoever makes it needs the permission for each of them. Answers
 * the tenant where there is but one.
 *
 * @throws UnknownFailureGroupError where it is of none that they may see; ForbiddenError.
 */
async function permitMark(context: ApiContext, fingerprint: string): Promise<string | null> {
  const seen = await tenantsOf(context, fingerprint, tenantsAsked(context, 'runs:read', undefined))
  if (seen.length === 0) throw new UnknownFailureGroupError(fingerprint)
  const { tenants, last } = await failuresOf(context).get(fingerprint)
  const permitted = tenantsWithin(context, 'failures:write')
  const own = permitted && (await tenantsOf(context, fingerprint, permitted))
  if (own && own.length < tenants) throw new ForbiddenError('failures:write')
  return tenants === 1 ? last.tenantId : null
}

/** Those that the group is of; null stands for all. */
async function tenantsOf(
  context: ApiContext,
  fingerprint: string,
  tenantIds: readonly (string | null)[],
): Promise<(string | null)[]> {
  const asked = tenantIds.map(async (tenantId) => {
    try {
      await failuresOf(context).get(fingerprint, tenantId === null ? {} : { tenantId })
      return [tenantId]
    } catch (error) {
      if (error instanceof UnknownFailureGroupError) return []
      throw error
    }
  })
  return (await Promise.all(asked)).flat()
}

function showFailure(group: FailureGroup): z.input<typeof failureSchema> {
  return {
    fingerprint: group.fingerprint,
    state: group.state,
    taskId: group.taskId,
    errorName: group.errorName,
    errorCode: group.errorCode,
    message: group.message,
    frame: group.frame,
    failures: group.failures,
    tenants: group.tenants,
    firstSeenAt: group.firstSeenAt.toISOString(),
    lastSeenAt: group.lastSeenAt.toISOString(),
    resolvedAt: group.resolvedAt?.toISOString() ?? null,
    ignoredUntil: group.ignoredUntil?.toISOString() ?? null,
    hours: group.hours,
    last: { runId: group.last.runId, tenantId: group.last.tenantId, message: group.last.message },
  }
}
