/** Failure groups: failed attempts that are alike, and whether anybody has dealt with them. */
import { createRoute, z } from '@hono/zod-openapi'
import { UnknownFailureGroupError } from '../../errors.ts'
import { failureStates } from '../../runs/failure-marks.ts'
import type { FailureGroup, FailureOf } from '../../runs/failures.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit } from './env.ts'
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
import { tenantAsked } from './tenants-asked.ts'

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
const tenantQuery = { tenant: slug.optional().describe('Everything is then told of this tenant alone.') }
const markQuery = z.strictObject({
  tenant: slug
    .optional()
    .describe('It is then done for this tenant alone, and otherwise for all you may see.'),
})
const noSuchFailure = { 404: problemAnswer('There is no such failure for whoever asks.') }
const done = jsonAnswer(
  'It is done.',
  z.object({
    fingerprint: z.string(),
    tenantId: slug.nullable().describe('For whom; null: for all tenants.'),
  }),
)

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
  request: { params: failureParam, query: markQuery },
  responses: { 200: done, ...noSuchFailure, ...problems },
})

const ignoreFailure = createRoute({
  method: 'post',
  path: '/failures/{fingerprint}/ignore',
  operationId: 'ignoreFailure',
  summary: 'It is not open before a time, but for tenants that it has not hit so far',
  request: {
    params: failureParam,
    query: markQuery,
    ...jsonBody(z.strictObject({ until: time.describe('Ahead, at most a year.') })),
  },
  responses: { 200: done, ...noSuchFailure, ...problems },
})

const reopenFailure = createRoute({
  method: 'post',
  path: '/failures/{fingerprint}/reopen',
  operationId: 'reopenFailure',
  summary: 'It is open again',
  request: { params: failureParam, query: markQuery },
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
        ...of(tenantId),
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
      const group = await failuresOf(context).get(fingerprint, of(tenantId))
      return context.json(showFailure(group), 200)
    })
    .openapi(resolveFailure, async (context) => {
      const { fingerprint } = context.req.valid('param')
      const tenantId = permitMark(context, fingerprint, context.req.valid('query').tenant)
      await failuresOf(context).resolve(fingerprint, of(tenantId))
      await record(context, { action: 'failure.resolve', tenantId, subject: fingerprint })
      return context.json({ fingerprint, tenantId }, 200)
    })
    .openapi(ignoreFailure, async (context) => {
      const { fingerprint } = context.req.valid('param')
      const { until } = context.req.valid('json')
      const tenantId = permitMark(context, fingerprint, context.req.valid('query').tenant)
      await failuresOf(context).ignore(fingerprint, new Date(until), of(tenantId))
      await record(context, { action: 'failure.ignore', tenantId, subject: fingerprint, details: { until } })
      return context.json({ fingerprint, tenantId }, 200)
    })
    .openapi(reopenFailure, async (context) => {
      const { fingerprint } = context.req.valid('param')
      const tenantId = permitMark(context, fingerprint, context.req.valid('query').tenant)
      await failuresOf(context).reopen(fingerprint, of(tenantId))
      await record(context, { action: 'failure.reopen', tenantId, subject: fingerprint })
      return context.json({ fingerprint, tenantId }, 200)
    })
}

function failuresOf(context: ApiContext) {
  return context.get('platform').failures
}

function of(tenantId: string | null): FailureOf {
  return tenantId === null ? {} : { tenantId }
}

/**
 * Whom a mark is for: the tenant whose groups they are shown, or all. What is told does not depend on who else is in the
 * group.
 *
 * @throws ForbiddenError; UnknownFailureGroupError where the tenant they name is another's.
 */
function permitMark(context: ApiContext, fingerprint: string, named: string | undefined): string | null {
  const tenantId = tenantAsked(context, 'runs:read', named)
  if (tenantId === undefined) throw new UnknownFailureGroupError(fingerprint)
  permit(context, 'failures:write', tenantId)
  return tenantId
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
