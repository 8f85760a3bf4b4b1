/**
 * Brings an order, its line items and its customer to what Shopify has now. A version that is not newer than the row
 * changes nothing, so events that overtake one another or come twice are harmless.
 *
 * A paid order with a discount code is handed to orders/credit-commission, in the transaction that stores it.
 */
import { AbortTaskError, defineTask, tenantPayload, type WebhookEvent } from '@cgk-platform/jobs'
import { z } from 'zod'
import { shopifyOrderId } from '../shopify/ids.ts'
import { creditCommission } from './credit-commission.ts'
import { fetchOrder, type ShopifyOrder } from './fetch-order.ts'
import { readOrderStatus } from './order-status.ts'
import { type StoredOrder, storeOrder } from './store-order.ts'

export const syncOrderFromShopify = defineTask({
  id: 'orders/sync-from-shopify',
  payload: tenantPayload({
    /** 450789469 or gid://shopify/Order/450789469. */
    shopifyOrderId,
    source: z.enum(['webhook', 'manual', 'reconciliation']),
  }),
  services: ['shopify'],
  webhooks: [
    {
      service: 'shopify',
      events: [
        'orders/create',
        'orders/updated',
        'orders/paid',
        'orders/cancelled',
        'orders/fulfilled',
        'orders/partially_fulfilled',
        'refunds/create',
      ],
      payload(event) {
        const id = readOrderId(event)
        return id === null ? null : { shopifyOrderId: id, source: 'webhook' as const }
      },
    },
  ],
  // A burst of events must not spend the shop's whole rate on orders.
  concurrency: { perTenant: 4 },

  async run({ shopifyOrderId, source }, { tenantId, sql, transaction, clients: { shopify }, logger }) {
    const order = await fetchOrder(shopify, shopifyOrderId)
    if (!order) throw new AbortTaskError(`Shopify has no order ${shopifyOrderId}, or not any more.`)
    warnOfUnknownStatus(order)

    const stored = await transaction(async () => {
      const stored = await storeOrder(order)
      if (!stored) return null
      const credits = earnsCommission(stored)
      if (credits) {
        const { id: orderId } = stored
        await creditCommission.trigger({ tenantId, orderId }, { idempotencyKey: `order:${orderId}` })
      }
      return { orderId: stored.id, credits }
    })

    if (stored) {
      logger.info({ ...stored, shopifyOrderId, source }, 'order stored')
      return { ...stored, isStale: false }
    }
    const newer = await sql<{ id: string }>`SELECT id FROM orders WHERE shopify_order_id = ${shopifyOrderId}`
    return { orderId: newer.rows[0]?.id ?? null, credits: false, isStale: true }

    function warnOfUnknownStatus(order: ShopifyOrder): void {
      const { financialStatus, fulfillmentStatus } = readOrderStatus(order)
      if (financialStatus && fulfillmentStatus) return
      const { displayFinancialStatus, displayFulfillmentStatus } = order
      logger.warn(
        { shopifyOrderId, displayFinancialStatus, displayFulfillmentStatus },
        'Shopify has a status that order-status.ts has no word for; the row keeps its own',
      )
    }
  },
})

/** As credit-commission.ts decides it; what it would refuse is not handed over. */
function earnsCommission({ status, financialStatus, discountCodes }: StoredOrder): boolean {
  const paid = financialStatus === 'paid' || financialStatus === 'partially_refunded'
  return paid && status !== 'cancelled' && status !== 'refunded' && discountCodes.length > 0
}

const orderBody = z.object({ id: z.int().positive() })
const refundBody = z.object({ order_id: z.int().positive() })

function readOrderId({ type, body }: WebhookEvent): string | null {
  if (type === 'refunds/create') {
    const refund = refundBody.safeParse(body)
    return refund.success ? String(refund.data.order_id) : null
  }
  const order = orderBody.safeParse(body)
  return order.success ? String(order.data.id) : null
}
