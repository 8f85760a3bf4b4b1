/** Schedules for all tenants at once, which is an operator's to do. */
import { createRoute, z } from '@hono/zod-openapi'
import { parseScheduleId, scheduleId } from '../../schedules/schedule.ts'
import { type ApiRoutes, newRoutes, permit } from './env.ts'
import { record } from './record.ts'
import { invalid, missing, pausedAnswer, runBody, runsAnswer, schedule } from './schedule-schemas.ts'
import { problems } from './schemas.ts'

const forAll = z.object({ schedule })

const pause = createRoute({
  method: 'post',
  path: '/schedules/{schedule}/pause',
  operationId: 'pauseScheduleForAll',
  summary: 'No times for anybody until it is resumed; what had come before has its runs',
  request: { params: forAll },
  responses: { 200: pausedAnswer, ...problems, ...missing, ...invalid },
})

const resume = createRoute({
  method: 'post',
  path: '/schedules/{schedule}/resume',
  operationId: 'resumeScheduleForAll',
  summary: 'Let it go on, from now, for all it was not paused for by themselves',
  request: { params: forAll },
  responses: { 200: pausedAnswer, ...problems, ...missing, ...invalid },
})

const run = createRoute({
  method: 'post',
  path: '/schedules/{schedule}/run',
  operationId: 'runScheduleForAll',
  summary: 'Run it now for every active tenant that has it',
  description: 'Needs runs:trigger, for all tenants.',
  request: { params: forAll, ...runBody },
  responses: { 200: runsAnswer, ...problems, ...missing, ...invalid },
})

export function platformScheduleRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(pause, async (context) => {
      permit(context, 'schedules:write', null)
      const { schedule } = context.req.valid('param')
      await context.get('platform').schedules.pause(schedule)
      await record(context, { action: 'schedule.pause', tenantId: null, subject: idOf(schedule) })
      return context.json({ isPaused: true }, 200)
    })
    .openapi(resume, async (context) => {
      permit(context, 'schedules:write', null)
      const { schedule } = context.req.valid('param')
      await context.get('platform').schedules.resume(schedule)
      await record(context, { action: 'schedule.resume', tenantId: null, subject: idOf(schedule) })
      return context.json({ isPaused: false }, 200)
    })
    .openapi(run, async (context) => {
      permit(context, 'runs:trigger', null)
      const { schedule } = context.req.valid('param')
      const runIds = await context.get('platform').schedules.run(schedule, context.req.valid('json'))
      const details = { runs: runIds.length }
      await record(context, { action: 'schedule.run', tenantId: null, subject: idOf(schedule), details })
      return context.json({ runIds }, 200)
    })
}

function idOf(name: string): string {
  return scheduleId(parseScheduleId(name))
}
