/** The tasks of the platform, as they are defined. */
import { createRoute, z } from '@hono/zod-openapi'
import { z as zod } from 'zod'
import { can } from '../../auth/index.ts'
import { maskPayload } from '../../runs/mask.ts'
import { serviceNames } from '../../services/registry.ts'
import type { AnyTask } from '../../task/define.ts'
import type { ScheduleRule } from '../../task/schedule.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permittedTenants } from './env.ts'
import { jsonAnswer, problemAnswer, problems, slug } from './schemas.ts'

const scheduleSchema = z.object({
  key: z.string(),
  cron: z.string(),
  timezone: z.string().describe("An IANA name, or 'tenant'."),
  tenantId: slug.nullable().describe('The one tenant it is for; null: every active one.'),
  catchUp: z.enum(['skip', 'once', 'all']),
  overlap: z.enum(['allow', 'skip']),
  windowMs: z.int(),
  payload: z.unknown().describe('Without tenantId; masked like that of a run.'),
})

const taskSchema = z
  .object({
    id: z.string(),
    services: z.array(z.enum(serviceNames)),
    retry: z.object({
      maxAttempts: z.int(),
      minDelayMs: z.number(),
      maxDelayMs: z.number(),
      factor: z.number(),
    }),
    timeoutMs: z.int(),
    perTenant: z.int().nullable().describe('Runs of one tenant at once; null: any number.'),
    schedules: z.array(scheduleSchema).describe('As the task declares them; tenants may have others.'),
    payload: z.record(z.string(), z.unknown()).describe('JSON Schema of what it is triggered with.'),
  })
  .openapi('Task')

const listTasks = createRoute({
  method: 'get',
  path: '/tasks',
  operationId: 'listTasks',
  summary: 'All tasks',
  responses: { 200: jsonAnswer('By id.', z.object({ tasks: z.array(taskSchema) })), ...problems },
})

const getTask = createRoute({
  method: 'get',
  path: '/tasks/{taskId}',
  operationId: 'getTask',
  summary: 'One task',
  request: {
    params: z.object({ taskId: z.string().max(100).describe('Percent-encoded: orders%2Fprocess-order.') }),
  },
  responses: {
    200: jsonAnswer('The task.', taskSchema),
    404: problemAnswer('There is no such task.'),
    ...problems,
  },
})

export function taskRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(listTasks, async (context) => {
      const tasks = (await registryOf(context)).list().map((task) => showTask(context, task))
      return context.json({ tasks: tasks.sort((one, other) => one.id.localeCompare(other.id)) }, 200)
    })
    .openapi(getTask, async (context) => {
      // Before it is told whether there is such a task.
      permittedTenants(context, 'runs:read')
      const task = (await registryOf(context)).get(context.req.valid('param').taskId)
      return context.json(showTask(context, task), 200)
    })
}

async function registryOf(context: ApiContext) {
  return await context.get('platform').registry()
}

/** A schedule for one tenant alone is that tenant's matter. */
function showTask(context: ApiContext, task: AnyTask): z.input<typeof taskSchema> {
  const { id, services, retry, timeoutMs, perTenant, schedules, schema } = task
  const { maxAttempts, minDelayMs, maxDelayMs, factor } = retry
  const within = permittedTenants(context, 'runs:read')
  const isSeen = ({ onlyTenant }: ScheduleRule) =>
    onlyTenant === null || within === null || within.includes(onlyTenant)
  return {
    id,
    services: [...services],
    retry: { maxAttempts, minDelayMs, maxDelayMs, factor },
    timeoutMs,
    perTenant,
    schedules: schedules.filter(isSeen).map((rule) => showSchedule(context, task, rule)),
    payload: zod.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
  }
}

function showSchedule(
  context: ApiContext,
  { schema }: AnyTask,
  rule: ScheduleRule,
): z.input<typeof scheduleSchema> {
  const { key, cron, timezone, onlyTenant: tenantId, catchUp, overlap, windowMs } = rule
  const isOpen = can(context.get('principal'), 'payload:read', tenantId)
  const payload = isOpen ? rule.payload : maskPayload(schema, { ...rule.payload })
  return { key, cron, timezone, tenantId, catchUp, overlap, windowMs, payload }
}
