/** The runs that an event triggers, queued in one transaction with the note that it was taken: both, or neither. */
import { randomUUID } from 'node:crypto'
import type { HTTPException } from 'hono/http-exception'
import type { Logger } from 'pino'
import type { SqlTag } from '../db/statement.ts'
import { InvalidPayloadError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import type { ServiceName } from '../services/registry.ts'
import type { WebhookEvent } from '../services/service.ts'
import type { AnyTask } from '../task/define.ts'
import { readTriggerOptions } from '../task/options.ts'
import { acceptPayload } from '../task/payload.ts'
import type { RunRequest } from '../task/run.ts'
import type { TaskWebhook } from '../task/webhook.ts'
import { problem } from './problem.ts'

export interface IncomingEvent {
  tenantId: string
  service: ServiceName
  event: WebhookEvent
  logger: Logger
}

/** Answers the ids of the runs; null when the event was taken before. @throws HTTPException */
export async function takeEvent(platform: Platform, incoming: IncomingEvent): Promise<string[] | null> {
  const { database } = await platform.ready()
  const wanting = await findWanting(platform, incoming)
  return await database.transaction(async () => {
    if (!(await note(database.sql, incoming))) return null
    const requests: RunRequest[] = []
    for (const { task, webhook } of wanting) {
      const request = await prepare(task, webhook, incoming, platform.config.maxPayloadBytes)
      if (request) requests.push(request)
    }
    if (requests.length === 0) return []
    const handles = await platform.dispatcher.enqueue(requests)
    const runIds = handles.map(({ id }) => id)
    await noteRuns(database.sql, incoming, runIds)
    return runIds
  })
}

interface Wanting {
  task: AnyTask
  webhook: TaskWebhook
}

async function findWanting(platform: Platform, { service, event }: IncomingEvent): Promise<Wanting[]> {
  const tasks = (await platform.registry()).list()
  return tasks.flatMap((task) =>
    task.webhooks
      .filter((webhook) => webhook.service === service && webhook.events.includes(event.type))
      .map((webhook) => ({ task, webhook })),
  )
}

/** A delivery that comes while another one of the same event is being taken waits here for how that ends. */
async function note(sql: SqlTag, { tenantId, service, event }: IncomingEvent): Promise<boolean> {
  const { rowCount } = await sql`
    INSERT INTO public.platform_webhook_events (tenant_id, service, event_id, type, run_ids)
    VALUES (${tenantId}, ${service}, ${event.id}, ${event.type}, '{}')
    ON CONFLICT DO NOTHING`
  return rowCount === 1
}

async function noteRuns(
  sql: SqlTag,
  { tenantId, service, event }: IncomingEvent,
  runIds: readonly string[],
): Promise<void> {
  await sql`
    UPDATE public.platform_webhook_events SET run_ids = ${runIds}::uuid[]
    WHERE tenant_id = ${tenantId} AND service = ${service} AND event_id = ${event.id}`
}

/** Null: the task does not want this one. */
async function prepare(
  task: AnyTask,
  webhook: TaskWebhook,
  incoming: IncomingEvent,
  maxPayloadBytes: number,
): Promise<RunRequest | null> {
  const { tenantId, event } = incoming
  try {
    const payload = webhook.payload(event)
    if (payload === null) return null
    const { input } = await acceptPayload(task.id, task.schema, { ...payload, tenantId }, maxPayloadBytes)
    const settings = readTriggerOptions({}, { maxAttempts: task.retry.maxAttempts })
    return {
      id: randomUUID(),
      taskId: task.id,
      tenantId,
      input,
      parentRunId: null,
      triggeredBy: { kind: 'app', ref: `webhook:${incoming.service}` },
      replayOf: null,
      ...settings,
    }
  } catch (error) {
    throw notUnderstood(error, task, incoming)
  }
}

/**
 * The event is real, and the task that asked for it cannot read it. It is not taken: the provider sends it again, for
 * hours or days, in which the task can be mended. Of an error that the task's own code threw nothing is logged but where:
 * its text may well quote the event.
 */
function notUnderstood(error: unknown, { id }: AnyTask, { event, logger }: IncomingEvent): HTTPException {
  const why = error instanceof InvalidPayloadError ? { err: error } : { at: firstFrame(error) }
  logger.error({ task: id, event: event.id, type: event.type, ...why }, 'A task cannot read a webhook event')
  const detail = 'This event cannot be handled yet. Send it again later.'
  return problem({ status: 500, code: 'EVENT_NOT_UNDERSTOOD', detail })
}

function firstFrame(error: unknown): string {
  const { name, stack = '' } = error instanceof Error ? error : new Error()
  return `${name} ${/^\s+(at .*)$/m.exec(stack)?.[1] ?? ''}`
}
