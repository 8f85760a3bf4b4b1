/** Schedules of tenants: what holds for whom, changed for one of them, paused, and run now. */
import { createRoute, z } from '@hono/zod-openapi'
import { UnknownScheduleError } from '../../errors.ts'
import type { ListedSchedule } from '../../schedules/list.ts'
import { parseScheduleId, scheduleId } from '../../schedules/schedule.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit, permittedTenants } from './env.ts'
import { record } from './record.ts'
import {
  invalid,
  missing,
  pausedAnswer,
  runBody,
  runsAnswer,
  schedule,
  scheduleSchema,
  showSchedules,
} from './schedule-schemas.ts'
import { jsonAnswer, jsonBody, problemAnswer, problems, slug } from './schemas.ts'
import { openTenant } from './tenant-access.ts'

const forTenant = z.object({ tenantId: slug, schedule })

const list = createRoute({
  method: 'get',
  path: '/schedules',
  operationId: 'listSchedules',
  summary: 'What holds for a tenant; without one, for all whose runs one may see',
  request: {
    query: z.strictObject({
      tenant: slug.optional(),
      count: z.coerce.number().int().min(0).max(100).default(5).describe('Next times of each.'),
    }),
  },
  responses: {
    200: jsonAnswer('All of them, by id.', z.object({ schedules: z.array(scheduleSchema) })),
    ...problems,
    ...missing,
  },
})

const set = createRoute({
  method: 'put',
  path: '/tenants/{tenantId}/schedules/{schedule}',
  operationId: 'setSchedule',
  summary: 'Change it for the tenant; what is left out stays, null is as the task says',
  description:
    'Needs schedules:write. A payload, and an extra schedule whatever of it is set, need runs:trigger as well: they trigger the task with what whoever asks has chosen.',
  request: {
    params: forTenant,
    ...jsonBody(
      z.strictObject({
        cron: z.string().max(200).nullable().optional(),
        timezone: z.string().max(100).nullable().optional(),
        payload: z.record(z.string(), z.unknown()).nullable().optional(),
        extra: z.boolean().optional().describe('One that the task does not declare.'),
      }),
    ),
  },
  responses: { 200: jsonAnswer('As it is now.', scheduleSchema), ...problems, ...missing, ...invalid },
})

const reset = createRoute({
  method: 'delete',
  path: '/tenants/{tenantId}/schedules/{schedule}',
  operationId: 'resetSchedule',
  summary: 'As the task says again, pausing included; an extra one is gone',
  request: { params: forTenant },
  responses: {
    200: jsonAnswer('Whether it was otherwise.', z.object({ changed: z.boolean() })),
    ...problems,
    ...missing,
    ...invalid,
  },
})

const pause = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/schedules/{schedule}/pause',
  operationId: 'pauseSchedule',
  summary: 'No times for the tenant until it is resumed; those that pass meanwhile are not made up for',
  request: { params: forTenant },
  responses: { 200: pausedAnswer, ...problems, ...missing, ...invalid },
})

const resume = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/schedules/{schedule}/resume',
  operationId: 'resumeSchedule',
  summary: 'Let it go on for the tenant, from now',
  request: { params: forTenant },
  responses: { 200: pausedAnswer, ...problems, ...missing, ...invalid },
})

const run = createRoute({
  method: 'post',
  path: '/tenants/{tenantId}/schedules/{schedule}/run',
  operationId: 'runSchedule',
  summary: 'Run it now for the tenant, paused or not',
  description: 'Needs runs:trigger.',
  request: { params: forTenant, ...runBody },
  responses: {
    200: runsAnswer,
    ...problems,
    ...missing,
    ...invalid,
    409: problemAnswer('The tenant is suspended.'),
  },
})

export function scheduleRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(list, async (context) => {
      const { tenant, count } = context.req.valid('query')
      const listed =
        tenant === undefined ? await listAll(context, count) : await listOne(context, tenant, count)
      return context.json({ schedules: await showSchedules(context, listed) }, 200)
    })
    .openapi(set, async (context) => {
      const { tenantId, schedule } = context.req.valid('param')
      const { extra = false, ...settings } = context.req.valid('json')
      await openTenant(context, tenantId, 'schedules:write')
      const isExtra = extra || (await requireHere(context, tenantId, schedule)).origin === 'extra'
      if (isExtra || settings.payload !== undefined) permit(context, 'runs:trigger', tenantId)
      const listed = await context.get('platform').schedules.set(tenantId, schedule, { ...settings, extra })
      const details = { cron: listed.cron, timezone: listed.timezone, extra }
      await record(context, { action: 'schedule.set', tenantId, subject: listed.id, details })
      const [shown] = await showSchedules(context, [listed])
      return context.json(shown!, 200)
    })
    .openapi(reset, async (context) => {
      const { tenantId, schedule } = context.req.valid('param')
      await openTenant(context, tenantId, 'schedules:write')
      const changed = await context.get('platform').schedules.reset(tenantId, schedule)
      if (changed) await record(context, { action: 'schedule.reset', tenantId, subject: idOf(schedule) })
      return context.json({ changed }, 200)
    })
    .openapi(pause, async (context) => {
      const { tenantId, schedule } = context.req.valid('param')
      await openTenant(context, tenantId, 'schedules:write')
      await requireHere(context, tenantId, schedule)
      await context.get('platform').schedules.pause(schedule, { tenantId })
      await record(context, { action: 'schedule.pause', tenantId, subject: idOf(schedule) })
      return context.json({ isPaused: true }, 200)
    })
    .openapi(resume, async (context) => {
      const { tenantId, schedule } = context.req.valid('param')
      await openTenant(context, tenantId, 'schedules:write')
      await requireHere(context, tenantId, schedule)
      await context.get('platform').schedules.resume(schedule, { tenantId })
      await record(context, { action: 'schedule.resume', tenantId, subject: idOf(schedule) })
      return context.json({ isPaused: false }, 200)
    })
    .openapi(run, async (context) => {
      const { tenantId, schedule } = context.req.valid('param')
      await openTenant(context, tenantId, 'runs:trigger')
      await requireHere(context, tenantId, schedule)
      const runIds = await context
        .get('platform')
        .schedules.run(schedule, { tenantId, ...context.req.valid('json') })
      const details = { runs: runIds.length }
      await record(context, { action: 'schedule.run', tenantId, subject: idOf(schedule), details })
      return context.json({ runIds }, 200)
    })
}

async function listOne(context: ApiContext, tenantId: string, count: number): Promise<ListedSchedule[]> {
  await openTenant(context, tenantId, 'runs:read')
  return await context.get('platform').schedules.list({ tenantId, count })
}

/** For every tenant at once, or for each of those that whoever asks belongs to. */
async function listAll(context: ApiContext, count: number): Promise<ListedSchedule[]> {
  const tenantIds = permittedTenants(context, 'runs:read')
  const { schedules } = context.get('platform')
  if (tenantIds === null) return await schedules.list({ count })
  const each = await Promise.all(tenantIds.map((tenantId) => schedules.list({ tenantId, count })))
  return each.flat()
}

/** One that runs for another tenant alone is none here, and not to be told from one that is not there. */
async function requireHere(context: ApiContext, tenantId: string, name: string): Promise<ListedSchedule> {
  const id = idOf(name)
  const listed = await context.get('platform').schedules.list({ tenantId, count: 0 })
  const here = listed.find((one) => one.id === id)
  if (here) return here
  throw new UnknownScheduleError(
    id,
    listed.map((one) => one.id),
  )
}

function idOf(name: string): string {
  return scheduleId(parseScheduleId(name))
}
