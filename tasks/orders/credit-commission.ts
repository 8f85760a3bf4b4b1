/**
 * Credits the creator whose code was used on a paid order: the commission, the creator's pending balance and the ledger
 * row, together or not at all. The money becomes available when its hold ends (payouts/mature-commissions).
 */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

/** Long enough for a return to reach us before the money is available. */
const holdDays = 30

export const creditCommission = defineTask({
  id: 'orders/credit-commission',
  payload: tenantPayload({ orderId: z.string().min(1) }),

  async run({ orderId }, { sql, transaction, logger }) {
    return await transaction(async () => {
      // Lock order: the order, then the creator. Until we commit the order cannot be refunded or credited a second
      // time. NO KEY: inserts that merely refer to the order need not wait.
      const orders = await sql<OrderRow>`
        SELECT status, financial_status, currency, discount_codes FROM orders
        WHERE id = ${orderId} FOR NO KEY UPDATE`
      const order = orders.rows[0]
      if (!order) throw new AbortTaskError(`There is no order ${orderId}.`)

      const earlier = await sql<CommissionRow>`
        SELECT id, creator_id, commission_cents, currency FROM commissions WHERE order_id = ${orderId}`
      if (earlier.rows[0]) return { credited: true, alreadyCredited: true, ...summary(earlier.rows[0]) }

      refuseUnearned(orderId, order)
      if (order.discount_codes.length === 0) return { credited: false, reason: 'no discount code' }

      // The first code on the order that belongs to a creator who may earn.
      const creators = await sql<CreatorRow>`
        SELECT creators.id, creators.currency, used.code
        FROM unnest(${order.discount_codes}::text[]) WITH ORDINALITY AS used(code, position)
        JOIN creators ON lower(creators.referral_code) = lower(used.code)
        WHERE creators.status IN ('approved', 'active')
        ORDER BY used.position LIMIT 1
        FOR NO KEY UPDATE OF creators`
      const creator = creators.rows[0]
      if (!creator) return { credited: false, reason: 'no earning creator has this code' }
      if (creator.currency !== order.currency) {
        throw new AbortTaskError(
          `Order ${orderId} is in ${order.currency}, but creator ${creator.id} is paid in ${creator.currency}.`,
        )
      }

      // Computed by Postgres in numeric: exact, and round() takes half a cent up.
      const credited = await sql<CommissionRow>`
        INSERT INTO commissions (order_id, creator_id, promo_code, currency, hold_until,
                                 net_sales_cents, commission_percent, commission_cents)
        SELECT orders.id, creators.id, ${creator.code}, orders.currency,
               coalesce(orders.order_placed_at, now()) + make_interval(days => ${holdDays}),
               net.cents, creators.commission_rate_pct, earned.cents
        FROM orders
        JOIN creators ON creators.id = ${creator.id}
        CROSS JOIN LATERAL (SELECT greatest(subtotal_cents - discount_cents, 0) AS cents) AS net
        CROSS JOIN LATERAL (SELECT round(net.cents * commission_rate_pct / 100)::int AS cents) AS earned
        WHERE orders.id = ${orderId} AND earned.cents > 0
        RETURNING id, creator_id, commission_cents, currency`
      const commission = credited.rows[0]
      if (!commission) return { credited: false, reason: 'the commission is less than a cent' }

      await sql`
        WITH creator AS (
          UPDATE creators SET pending_balance_cents = pending_balance_cents + ${commission.commission_cents}
          WHERE id = ${creator.id}
          RETURNING id, currency, pending_balance_cents
        )
        INSERT INTO balance_transactions
          (creator_id, type, balance, amount_cents, currency, balance_after_cents, order_id, description)
        SELECT id, 'commission', 'pending', ${commission.commission_cents}, currency, pending_balance_cents,
               ${orderId}, 'Commission earned'
        FROM creator`

      logger.info({ orderId, commissionId: commission.id, creatorId: creator.id }, 'commission credited')
      return { credited: true, alreadyCredited: false, ...summary(commission) }
    })
  },
})

interface OrderRow {
  status: string
  financial_status: string
  currency: string
  discount_codes: string[]
}

interface CreatorRow {
  id: string
  currency: string
  /** As it was typed at the checkout. */
  code: string
}

interface CommissionRow {
  id: string
  creator_id: string
  commission_cents: number
  currency: string
}

/** A partly refunded order was paid and still earns; what the refund takes back is a person's decision. */
function refuseUnearned(orderId: string, { status, financial_status }: OrderRow): void {
  const paid = financial_status === 'paid' || financial_status === 'partially_refunded'
  if (paid && status !== 'cancelled' && status !== 'refunded') return
  throw new AbortTaskError(
    `Order ${orderId} is ${status} and its payment is ${financial_status}; only a paid order earns a commission.`,
  )
}

function summary({ id, creator_id, commission_cents, currency }: CommissionRow) {
  return { commissionId: id, creatorId: creator_id, commissionCents: commission_cents, currency }
}
