/** Runs: finding, reading and steering them. */
import { createRoute, z } from '@hono/zod-openapi'
import { can } from '../../auth/index.ts'
import { UnknownRunError } from '../../errors.ts'
import type { NewStart } from '../../task/options.ts'
import type { Attempt, Run } from '../../task/run.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit } from './env.ts'
import { record } from './record.ts'
import { readFilter, runQuery, stateQuery } from './run-filter.ts'
import { runCountSchema, runDetailsSchema, runSchema } from './run-schemas.ts'
import { jsonAnswer, jsonBody, pageQuery, problemAnswer, problems, slug, time, uuid } from './schemas.ts'
import { showAttempt, showCount, showProgress, showRun } from './show-run.ts'
import { tenantAsked, tenantsAsked } from './tenants-asked.ts'

export const runParam = z.object({ runId: uuid })
export const noSuchRun = { 404: problemAnswer('There is no such run for whoever asks.') }

const listRuns = createRoute({
  method: 'get',
  path: '/runs',
  operationId: 'listRuns',
  summary: 'Runs, newest first',
  request: { query: z.strictObject({ ...runQuery, state: stateQuery, ...pageQuery }) },
  responses: {
    200: jsonAnswer('A page of them.', z.object({ runs: z.array(runSchema), next: z.string().nullable() })),
    ...problems,
  },
})

const countRuns = createRoute({
  method: 'get',
  path: '/runs/counts',
  operationId: 'countRuns',
  summary: 'How many runs there are, by task, tenant and state',
  request: {
    query: z.strictObject({
      tenant: slug.optional(),
      task: runQuery.task,
      from: time.optional().describe('Ended in the hour of this time or later; 24 hours ago by default.'),
      to: time.optional().describe('Ended before the hour of this time.'),
    }),
  },
  responses: {
    200: jsonAnswer(
      'Those that ended in that time, and all that are open.',
      z.object({ counts: z.array(runCountSchema) }),
    ),
    ...problems,
  },
})

const getRun = createRoute({
  method: 'get',
  path: '/runs/{runId}',
  operationId: 'getRun',
  summary: 'One run, with its failed attempts and its progress',
  request: { params: runParam },
  responses: { 200: jsonAnswer('The run.', runDetailsSchema), ...noSuchRun, ...problems },
})

const cancelRun = createRoute({
  method: 'post',
  path: '/runs/{runId}/cancel',
  operationId: 'cancelRun',
  summary: 'End an open run; a running one gets its signal',
  request: { params: runParam },
  responses: {
    200: jsonAnswer('Whether it was open.', z.object({ cancelled: z.boolean() })),
    ...noSuchRun,
    ...problems,
  },
})

const newStart = z
  .strictObject({ delay: z.union([z.string().max(50), z.number()]), runAt: time })
  .partial()
  .refine(({ delay, runAt }) => (delay === undefined) !== (runAt === undefined), 'give delay or runAt')

const rescheduleRun = createRoute({
  method: 'post',
  path: '/runs/{runId}/reschedule',
  operationId: 'rescheduleRun',
  summary: 'Another start for a run that waits for its first',
  request: { params: runParam, ...jsonBody(newStart) },
  responses: {
    200: jsonAnswer('Whether it still waited.', z.object({ rescheduled: z.boolean() })),
    ...noSuchRun,
    422: problemAnswer('That is no time to start at.'),
    ...problems,
  },
})

export function runRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(listRuns, async (context) => {
      const { limit, after, tenant, ...filter } = context.req.valid('query')
      const tenantId = tenantAsked(context, 'runs:read', tenant)
      if (tenantId === undefined) return context.json({ runs: [], next: null }, 200)
      const { runs, next } = await context.get('platform').runs.list({
        ...readFilter(filter),
        ...(tenantId !== null && { tenantId }),
        ...(after !== undefined && { after }),
        limit,
      })
      const shown = await Promise.all(runs.map((run) => showRun(context, run)))
      return context.json({ runs: shown, next }, 200)
    })
    .openapi(countRuns, async (context) => {
      const { tenant, ...filter } = context.req.valid('query')
      const { runs } = context.get('platform')
      const counts = await Promise.all(
        tenantsAsked(context, 'runs:read', tenant).map((tenantId) =>
          runs.counts({ ...readFilter(filter), ...(tenantId !== null && { tenantId }) }),
        ),
      )
      return context.json({ counts: counts.flat().map(showCount) }, 200)
    })
    .openapi(getRun, async (context) => {
      const run = await requireRun(context, context.req.valid('param').runId)
      const progress = await context.get('platform').runs.progress(run.id)
      const details = {
        ...(await showRun(context, run)),
        attempts: run.attempts.map(showAttempt),
        progress: progress && showProgress(progress),
      }
      return context.json(details, 200)
    })
    .openapi(cancelRun, async (context) => {
      const { id, tenantId } = await requireRun(context, context.req.valid('param').runId)
      permit(context, 'runs:cancel', tenantId)
      const cancelled = await context.get('platform').runs.cancel(id)
      if (cancelled) await record(context, { action: 'run.cancel', tenantId, subject: id })
      return context.json({ cancelled }, 200)
    })
    .openapi(rescheduleRun, async (context) => {
      const { id, tenantId } = await requireRun(context, context.req.valid('param').runId)
      // To begin in ten years is to be cancelled.
      permit(context, 'runs:cancel', tenantId)
      const start = context.req.valid('json') as NewStart
      const rescheduled = await context.get('platform').runs.reschedule(id, start)
      if (rescheduled) await record(context, { action: 'run.reschedule', tenantId, subject: id })
      return context.json({ rescheduled }, 200)
    })
}

/** One that whoever asks may not see is no run. @throws UnknownRunError. */
export async function requireRun(context: ApiContext, id: string): Promise<Run & { attempts: Attempt[] }> {
  const run = await context.get('platform').runs.get(id)
  if (can(context.get('principal'), 'runs:read', run.tenantId)) return run
  throw new UnknownRunError(id)
}
