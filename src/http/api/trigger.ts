/** Triggering tasks: one run, or a batch of which all are queued or none. */
import { isDeepStrictEqual } from 'node:util'
import { createRoute, z } from '@hono/zod-openapi'
import { InvalidPayloadError } from '../../errors.ts'
import { derivedRunId } from '../../task/derived-id.ts'
import type { TriggerOptions } from '../../task/options.ts'
import type { Run, RunRequest, TriggeredBy } from '../../task/run.ts'
import { prepareRun } from '../../task/trigger.ts'
import { problem } from '../problem.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit } from './env.ts'
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

/** In lower case, as Hono has the names of headers. */
const idempotencyKey = z.object({
  'idempotency-key': z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('The same key, sent again by the same key or user, is the same runs and no new ones.'),
})

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
  request: { headers: idempotencyKey, ...jsonBody(itemSchema.extend({ task: taskId })) },
  responses: { 201: jsonAnswer('It is queued.', z.object({ id: uuid })), ...refusals },
})

const triggerBatch = createRoute({
  method: 'post',
  path: '/runs/batch',
  operationId: 'triggerBatch',
  summary: 'Trigger a task many times: all runs are queued, or none',
  request: {
    headers: idempotencyKey,
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
  await refuseOtherUse(context, requests)
  return (await dispatcher.enqueue(requests)).map(({ id }) => id)
}

/** With an Idempotency-Key, the ids that the same request had before. */
function idFor(context: ApiContext, index: number): Pick<RunRequest, 'repeatable'> & { id?: string } {
  const key = context.req.header('idempotency-key')
  if (key === undefined) return {}
  const id = derivedRunId(['request', context.get('principal').id, key, String(index)])
  return { id, repeatable: true }
}

/**
 * All were queued together, so those of the same request are all there or none is. Of a new one, the usual case, one run
 * is looked for: with Trigger.dev each costs a request.
 */
async function refuseOtherUse(context: ApiContext, requests: readonly RunRequest[]): Promise<void> {
  const [first] = requests
  if (!first?.repeatable) return
  const { engine } = await context.get('platform').ready()
  if (!(await engine.get(first.id))) return
  const requested = new Map(requests.map((request) => [request.id, request]))
  const found = await engine.getMany([...requested.keys()])
  if (found.length === requests.length && found.every((run) => isSame(run, requested.get(run.id)))) return
  throw problem({
    status: 409,
    code: 'IDEMPOTENCY_KEY_REUSED',
    detail:
      'This Idempotency-Key was sent before, with another task or payload. Use a new key for each request.',
  })
}

/** A run that its engine has not quite made yet has no payload to compare. */
function isSame(run: Run, request: RunRequest | undefined): boolean {
  if (run.taskId !== request?.taskId) return false
  return run.payload === null || isDeepStrictEqual(run.payload, request.input)
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
