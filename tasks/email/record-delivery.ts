/**
 * Records what Resend's webhook says of an email: that it arrived, that it will not, or that somebody complained. Events
 * come late, twice and out of order; a bounce is the last word.
 *
 * The email is found by Resend's id, or by the entry's own, which travels with it as a tag: an answer to email/send may
 * have been lost, and then the event is the first to tell that there is an email.
 */
import { defineTask, tenantPayload, type WebhookEvent } from '@cgk-platform/jobs'
import { z } from 'zod'
import { entryTag } from './mail.ts'

const events = [
  'email.delivered',
  'email.bounced',
  'email.complained',
  'email.failed',
  'email.suppressed',
] as const

const longestReason = 900

export const recordDelivery = defineTask({
  id: 'email/record-delivery',
  payload: tenantPayload({
    /** Resend's id of the email. */
    messageId: z.string().min(1),
    event: z.enum(events),
    /** As Resend words it. */
    reason: z.string().max(longestReason).optional(),
    entryId: z.string().min(1).optional(),
  }),
  webhooks: [{ service: 'resend', events, payload: readEvent }],

  async run({ messageId, event, reason, entryId = null }, { sql, logger }) {
    const isDelivered = event === 'email.delivered'
    const hasArrived = isDelivered || event === 'email.complained'
    const problem = isDelivered ? null : `${event}${reason ? `: ${reason}` : ''}`
    // An entry without Resend's id may be one whose answer was lost: pending again, or given up. One with an id that is
    // pending is being sent anew, and what becomes of the email before says nothing about it.
    const recorded = await sql<{ id: string; status: string }>`
      UPDATE email_queue SET
        status = CASE
          WHEN NOT ${hasArrived} THEN 'failed'
          WHEN status IN ('pending', 'processing') OR (status = 'failed' AND resend_message_id IS NULL) THEN 'sent'
          ELSE status
        END,
        error_message = CASE
          WHEN ${problem}::text IS NOT NULL THEN ${problem}
          WHEN resend_message_id IS NULL THEN NULL
          ELSE error_message
        END,
        sent_at = coalesce(sent_at, now()),
        delivered_at = CASE WHEN ${hasArrived} THEN coalesce(delivered_at, now()) ELSE delivered_at END,
        resend_message_id = ${messageId}, message = NULL, unanswered_since = NULL
      WHERE id = (
        SELECT id FROM email_queue
        WHERE (resend_message_id = ${messageId} AND status NOT IN ('pending', 'processing'))
           OR (id = ${entryId} AND resend_message_id IS NULL)
        LIMIT 1
      )
      RETURNING id, status`
    const entry = recorded.rows[0]
    if (!entry)
      return { recorded: false, reason: 'no email in the queue has this id, or it is being sent anew' }
    if (!isDelivered) logger.warn({ entryId: entry.id, messageId, event }, 'email did not do well')
    return { recorded: true, entryId: entry.id, status: entry.status }
  },
})

/** Resend's documentation has tags as a list, its SDK as an object. */
const tag = z.object({ name: z.string(), value: z.unknown() })
const byName = (tags: z.output<typeof tag>[]) =>
  Object.fromEntries(tags.map(({ name, value }) => [name, value]))

const said = z.object({
  type: z.enum(events),
  data: z.object({
    email_id: z.string().min(1),
    tags: z
      .union([z.array(tag).transform(byName), z.record(z.string(), z.unknown())])
      .catch({})
      .default({}),
    bounce: z.object({ message: z.string(), type: z.string() }).partial().optional().catch(undefined),
    failed: z.object({ reason: z.string() }).partial().optional().catch(undefined),
    suppressed: z.object({ message: z.string() }).partial().optional().catch(undefined),
  }),
})

function readEvent({ body }: WebhookEvent) {
  const read = said.safeParse(body)
  if (!read.success) return null
  const { type, data } = read.data
  const bounce = [data.bounce?.type, data.bounce?.message].filter(Boolean).join(', ')
  const reason = bounce || data.failed?.reason || data.suppressed?.message
  const entryId = data.tags[entryTag]
  return {
    messageId: data.email_id,
    event: type,
    ...(reason && { reason: storable(reason) }),
    ...(typeof entryId === 'string' && entryId && { entryId }),
  }
}

/** What a mail server answers may be anything. */
function storable(text: string): string {
  return text.replaceAll('\0', '').slice(0, longestReason).toWellFormed()
}
