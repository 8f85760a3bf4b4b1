/** Triggering tasks: one run, or a batch of which all are queued or none. */
import { createRoute, z } from '@hono/zod-openapi'
import { InvalidPayloadError } from '../../errors.ts'
import type { TriggerOptions } from '../../task/options.ts'
import type { RunRequest, TriggeredBy } from '../../task/run.ts'
import { prepareRun } from '../../task/trigger.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit } from './env.ts'
import { idFor, refuseOtherUse, requestKeyHeader } from './request-key.ts'
import { jsonAnswer, jsonBody, problemAnswer, problems, slug, time, uuid } from './schemas.ts'

const duration = z.union([z.string().max(50), z.number()]).describe("'30s', '2h'; or milliseconds.")

const optionsSchema = z
  .strictObject({
    idempotencyKey: z.string(),
    idempotencyKeyTtl: duration,
    delay: duration,
    runAt: time,
    priority: z.int(),
    ttl: duration,
    tags: z.array(z.string()),
    maxAttempts: z.int(),
  })
  .partial()
  .openapi('TriggerOptions')

const itemSchema = z.strictObject({
  payload: z.looseObject({ tenantId: slug }).openapi({ description: 'As GET /tasks says of the task.' }),
  options: optionsSchema.optional(),
})
const taskId = z.string().max(100)
const mostItems = 1_000

const refusals = {
  404: problemAnswer('There is no such task, or no such tenant.'),
  409: problemAnswer('The tenant is suspended, or the Idempotency-Key was sent with something else.'),
  413: problemAnswer('The body is too large.'),
  422: problemAnswer('The payload does not fit the task (see issues), or an option cannot be used.'),
  ...problems,
}

const triggerRun = createRoute({
  method: 'post',
  path: '/runs',
  operationId: 'triggerRun',
  summary: 'Trigger a task',
  request: { headers: requestKeyHeader, ...jsonBody(itemSchema.extend({ task: taskId })) },
  responses: { 201: jsonAnswer('It is queued.', z.object({ id: uuid })), ...refusals },
})

const triggerBatch = createRoute({
  method: 'post',
  path: '/runs/batch',
  operationId: 'triggerBatch',
  summary: 'Trigger a task many times: all runs are queued, or none',
  request: {
    headers: requestKeyHeader,
    ...jsonBody(z.strictObject({ task: taskId, items: z.array(itemSchema).min(1).max(mostItems) })),
  },
  responses: {
    201: jsonAnswer('All are queued, in this order.', z.object({ ids: z.array(uuid) })),
    ...refusals,
  },
})

export function triggerRoutes(): ApiRoutes {
  return newRoutes()
    .openapi(triggerRun, async (context) => {
      const { task, ...item } = context.req.valid('json')
      const [id] = await triggerItems(context, task, [item], (_, error) => error)
      return context.json({ id: id! }, 201)
    })
    .openapi(triggerBatch, async (context) => {
      const { task, items } = context.req.valid('json')
      return context.json({ ids: await triggerItems(context, task, items, inItem) }, 201)
    })
}

async function triggerItems(
  context: ApiContext,
  taskId: string,
  items: readonly z.output<typeof itemSchema>[],
  explain: (index: number, error: unknown) => unknown,
): Promise<string[]> {
  // Before anything else: which tenants and tasks there are is nobody's business who may not trigger them.
  for (const { payload } of items) permit(context, 'runs:trigger', payload.tenantId)
  const { dispatcher } = context.get('platform')
  const task = (await dispatcher.registry()).get(taskId)
  const requests: RunRequest[] = []
  for (const [index, { payload, options }] of items.entries()) {
    try {
      const request = await prepareRun(dispatcher, task, payload, options as TriggerOptions | undefined)
      requests.push({ ...request, ...idFor(context, index), triggeredBy: whoTriggers(context) })
    } catch (error) {
      throw explain(index, error)
    }
  }
  await refuseOtherUse(context, requests, { task: taskId, items })
  return (await dispatcher.enqueue(requests)).map(({ id }) => id)
}

function whoTriggers(context: ApiContext): TriggeredBy {
  const { kind, name } = context.get('principal')
  return { kind: 'app', ref: `${kind} ${name}` }
}

function inItem(index: number, error: unknown): unknown {
  if (!(error instanceof InvalidPayloadError)) return error
  const issues = error.issues.map(({ path, message }) => ({
    path: ['items', index, 'payload', ...(path === '' ? [] : [path])].join('.'),
    message,
  }))
  return new InvalidPayloadError(error.taskId, issues)
}
