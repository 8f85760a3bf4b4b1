/** What Shopify's statuses are in ours. A value that is not here is one that Shopify has added since: it has no word. */

const financialStatus = new Map([
  ['PENDING', 'pending'],
  ['AUTHORIZED', 'authorized'],
  // The authorization has ended: as with a voided one, there is nothing left to capture.
  ['EXPIRED', 'voided'],
  ['VOIDED', 'voided'],
  ['PARTIALLY_PAID', 'partially_paid'],
  ['PAID', 'paid'],
  ['PARTIALLY_REFUNDED', 'partially_refunded'],
  ['REFUNDED', 'refunded'],
])

// In between are many steps of a warehouse; for us an item has left or it has not.
const fulfillmentStatus = new Map([
  ['UNFULFILLED', 'unfulfilled'],
  ['OPEN', 'unfulfilled'],
  ['SCHEDULED', 'unfulfilled'],
  ['ON_HOLD', 'unfulfilled'],
  ['PENDING_FULFILLMENT', 'unfulfilled'],
  ['IN_PROGRESS', 'unfulfilled'],
  ['REQUEST_DECLINED', 'unfulfilled'],
  // Everything came back onto the shelf.
  ['RESTOCKED', 'unfulfilled'],
  ['PARTIALLY_FULFILLED', 'partial'],
  ['FULFILLED', 'fulfilled'],
])

export interface Fulfillment {
  /** SUCCESS, CANCELLED, ERROR, FAILURE */
  status: string
  createdAt: string
  deliveredAt: string | null
}

interface ShopifyStatus {
  displayFinancialStatus: string | null
  displayFulfillmentStatus: string
  cancelledAt: string | null
  fulfillments: readonly Fulfillment[]
}

export interface OrderStatus {
  /** How far Shopify knows the order to be; our row may know more (store-order.ts). */
  status: string
  /** Null: there is no word for it. */
  financialStatus: string | null
  fulfillmentStatus: string | null
  /** When all of it had arrived, as far as carriers told; else when the last of it left. */
  fulfilledAt: string | null
}

export function readOrderStatus(order: ShopifyStatus): OrderStatus {
  const financial = financialStatus.get(order.displayFinancialStatus ?? 'PENDING') ?? null
  const fulfillment = fulfillmentStatus.get(order.displayFulfillmentStatus) ?? null
  const parcels = order.fulfillments.filter(({ status }) => status === 'SUCCESS')
  const delivered = parcels.length > 0 && parcels.every(({ deliveredAt }) => deliveredAt)
  const dates = parcels.map(({ createdAt, deliveredAt }) => (delivered && deliveredAt) || createdAt)
  return {
    status: statusOf(order.cancelledAt !== null, financial, fulfillment, delivered),
    financialStatus: financial,
    fulfillmentStatus: fulfillment,
    fulfilledAt: fulfillment === 'fulfilled' ? latest(dates) : null,
  }
}

function statusOf(
  cancelled: boolean,
  financial: string | null,
  fulfillment: string | null,
  delivered: boolean,
): string {
  if (cancelled) return 'cancelled'
  if (financial === 'refunded') return 'refunded'
  if (fulfillment === 'fulfilled') return delivered ? 'delivered' : 'shipped'
  const secured = financial === 'paid' || financial === 'authorized' || financial === 'partially_refunded'
  return secured ? 'confirmed' : 'pending'
}

function latest(dates: readonly string[]): string | null {
  const inOrder = [...dates].sort((a, b) => Date.parse(a) - Date.parse(b))
  return inOrder.at(-1) ?? null
}
