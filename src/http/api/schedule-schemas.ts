/** What routes of schedules share. */
import { z } from '@hono/zod-openapi'
import { can } from '../../auth/index.ts'
import { maskPayload } from '../../runs/mask.ts'
import type { ListedSchedule } from '../../schedules/list.ts'
import type { JsonValue } from '../../task/json.ts'
import type { ApiContext } from './env.ts'
import { jsonAnswer, jsonBody, problemAnswer, slug, text, time, uuid } from './schemas.ts'

export const scheduleSchema = z
  .object({
    id: z.string().describe('`orders/reconcile:default`; percent-encoded in a path.'),
    taskId: z.string(),
    key: z.string(),
    tenantId: slug.nullable().describe('Whose; null: as the task says, for all who have nothing else.'),
    origin: z.enum(['task', 'changed', 'extra']),
    cron: z.string(),
    timezone: z.string().describe('IANA name, or `tenant`.'),
    catchUp: z.enum(['skip', 'once', 'all']),
    overlap: z.enum(['allow', 'skip']),
    windowMs: z.number().describe('Runs of a tick are spread over so many milliseconds.'),
    payload: z
      .unknown()
      .describe('Without tenantId; what its task marks is masked without the permission payload:read.'),
    isPaused: z.boolean(),
    next: z
      .array(z.object({ at: time.nullable(), clock: z.string(), offset: z.string().nullable() }))
      .describe("`at` is null where each tenant's clock shows it at a moment of its own."),
  })
  .openapi('Schedule')

export const schedule = text(300).describe('Percent-encoded: orders%2Freconcile%3Adefault')
export const missing = { 404: problemAnswer('There is no such tenant or schedule for whoever asks.') }
export const invalid = {
  422: problemAnswer('The name, the cron text, the time zone or the payload cannot be used.'),
}
export const pausedAnswer = jsonAnswer('As it is now.', z.object({ isPaused: z.boolean() }))
export const runsAnswer = jsonAnswer('The runs.', z.object({ runIds: z.array(uuid) }))
export const runBody = jsonBody(
  z.strictObject({
    invocation: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('Asked again with the same one, the same runs are answered.'),
  }),
)

/** What a task's schema marks in payloads is masked for those who may not read it. */
export async function showSchedules(context: ApiContext, listed: readonly ListedSchedule[]) {
  const registry = await context.get('platform').registry()
  return listed.map((schedule) => {
    const isOpen = can(context.get('principal'), 'payload:read', schedule.tenantId)
    const payload = isOpen
      ? schedule.payload
      : maskPayload(registry.get(schedule.taskId).schema, schedule.payload)
    return showSchedule(schedule, payload)
  })
}

function showSchedule(listed: ListedSchedule, payload: JsonValue): z.input<typeof scheduleSchema> {
  const { id, taskId, key, tenantId, origin, cron, timezone, catchUp, overlap, windowMs, isPaused } = listed
  return {
    id,
    taskId,
    key,
    tenantId,
    origin,
    cron,
    timezone,
    catchUp,
    overlap,
    windowMs,
    payload,
    isPaused,
    next: listed.next.map(({ at, clock, offset }) => ({ at: at?.toISOString() ?? null, clock, offset })),
  }
}
