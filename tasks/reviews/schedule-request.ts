/** Queues the email that asks for a review, some days after an order was delivered. */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

const daysAfterDelivery = 7
/** One request per order, however many parcels it came in. A reminder would be number 2. */
const sequence = 1

export const scheduleReviewRequest = defineTask({
  id: 'reviews/schedule-request',
  payload: tenantPayload({ orderId: z.string().min(1), fulfillmentId: z.string().min(1).optional() }),

  async run({ orderId, fulfillmentId }, { sql }) {
    const found = await sql<OrderRow>`
      SELECT orders.status, orders.order_number, orders.fulfilled_at,
             coalesce(orders.customer_email, customers.email) AS recipient
      FROM orders LEFT JOIN customers ON customers.id = orders.customer_id
      WHERE orders.id = ${orderId}`
    const order = found.rows[0]
    if (!order) throw new AbortTaskError(`There is no order ${orderId}.`)
    if (order.status === 'cancelled' || order.status === 'refunded') {
      return { scheduled: false, reason: `order is ${order.status}` }
    }
    if (!order.recipient) return { scheduled: false, reason: 'order has no email address' }
    if (!order.fulfilled_at) {
      throw new AbortTaskError(`Order ${orderId} is ${order.status} and has no delivery date (fulfilled_at).`)
    }

    const dedupeKey = `review:${orderId}:${sequence}`
    const queued = await sql<EmailRow>`
      INSERT INTO email_queue (kind, recipient, subject, template, data, dedupe_key, sequence_number, scheduled_at)
      VALUES ('review', ${order.recipient}, ${`How do you like your order ${order.order_number}?`}, 'review-request',
              ${sql.json({ orderId, fulfillmentId })}, ${dedupeKey}, ${sequence},
              ${order.fulfilled_at}::timestamptz + make_interval(days => ${daysAfterDelivery}))
      ON CONFLICT (dedupe_key) DO NOTHING
      RETURNING id, scheduled_at`
    if (queued.rows[0]) return { scheduled: true, alreadyScheduled: false, ...summary(queued.rows[0]) }

    const earlier = await sql<EmailRow>`
      SELECT id, scheduled_at FROM email_queue WHERE dedupe_key = ${dedupeKey}`
    return { scheduled: true, alreadyScheduled: true, ...summary(earlier.rows[0]!) }
  },
})

interface OrderRow {
  status: string
  order_number: string
  fulfilled_at: Date | null
  recipient: string | null
}

interface EmailRow {
  id: string
  scheduled_at: Date
}

function summary({ id, scheduled_at }: EmailRow) {
  return { emailId: id, scheduledAt: scheduled_at.toISOString() }
}
