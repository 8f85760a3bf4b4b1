/** What routes of schedules share. */
import { z } from '@hono/zod-openapi'
import { can } from '../../auth/index.ts'
import type { ListedSchedule } from '../../schedules/list.ts'
import type { ApiContext } from './env.ts'
import { jsonAnswer, jsonBody, problemAnswer, slug, time, uuid } from './schemas.ts'

export const scheduleSchema = z
  .object({
    /** `orders/reconcile:default`; percent-encoded in a path. */
    id: z.string(),
    taskId: z.string(),
    key: z.string(),
    /** Whose; null: as the task says, for all who have nothing else. */
    tenantId: slug.nullable(),
    origin: z.enum(['task', 'changed', 'extra']),
    cron: z.string(),
    /** IANA name, or `tenant`. */
    timezone: z.string(),
    catchUp: z.enum(['skip', 'once', 'all']),
    overlap: z.enum(['allow', 'skip']),
    /** Runs of a tick are spread over so many milliseconds. */
    windowMs: z.number(),
    /** Null for whoever may not read payloads. */
    payload: z.record(z.string(), z.unknown()).nullable(),
    isPaused: z.boolean(),
    /** `at` is null where each tenant's clock shows it at a moment of its own. */
    next: z.array(z.object({ at: time.nullable(), clock: z.string(), offset: z.string().nullable() })),
  })
  .openapi('Schedule')

export const schedule = z
  .string()
  .max(300)
  .openapi({ description: 'Percent-encoded: orders%2Freconcile%3Adefault' })
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
      .openapi({ description: 'Asked again with the same one, the same runs are answered.' }),
  }),
)

/** What a payload has in it is for those who may read payloads; everybody else sees that there is one. */
export function describeSchedule(context: ApiContext, listed: ListedSchedule) {
  const { id, taskId, key, tenantId, origin, cron, timezone, catchUp, overlap, windowMs, isPaused } = listed
  const isReadable = can(context.get('principal'), 'payload:read', tenantId)
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
    payload: isReadable ? listed.payload : null,
    isPaused,
    next: listed.next.map(({ at, clock, offset }) => ({ at: at?.toISOString() ?? null, clock, offset })),
  }
}
