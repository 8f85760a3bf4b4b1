/**
 * Writes what Shopify says of an order: the order, its line items and its customer. Runs inside a transaction of the
 * caller. Of two that meet, the older version changes nothing, whoever comes first: the upsert is guarded by the time of
 * Shopify's last update, and it locks the row until the end of the transaction.
 */
import { sql } from '@cgk-platform/jobs'
import { numericId } from '../shopify/ids.ts'
import { toCents, toCentsAtMost } from '../shopify/money.ts'
import type { LineItem, ShopifyCustomer, ShopifyOrder } from './fetch-order.ts'
import { readOrderStatus } from './order-status.ts'

export interface StoredOrder {
  id: string
  status: string
  financialStatus: string
  discountCodes: string[]
}

/** An order only goes forward: what our own tasks have reached, Shopify does not take back. */
const forward = ['pending', 'confirmed', 'processing', 'shipped', 'delivered', 'refunded', 'cancelled']

/** Null: the row is of this version or a newer one. */
export async function storeOrder(order: ShopifyOrder): Promise<StoredOrder | null> {
  const row = asRow(order)
  const customer = order.customer && asCustomerRow(order.customer)
  const lineItems = order.lineItems.map(asLineItemRow)

  // Lock order: the order, then its customer. A status without a word for it leaves the row's as it is.
  const stored = await sql<OrderRow>`
    INSERT INTO orders AS known (
      shopify_order_id, order_number, customer_email, status, fulfillment_status, financial_status,
      subtotal_cents, discount_cents, shipping_cents, tax_cents, total_cents, currency, discount_codes,
      shopify_updated_at, order_placed_at, fulfilled_at, cancelled_at)
    VALUES (
      ${row.shopifyOrderId}, ${order.name}, ${order.email}, ${row.status},
      coalesce(${row.fulfillmentStatus}::text, 'unfulfilled'), coalesce(${row.financialStatus}::text, 'pending'),
      ${row.subtotalCents}, ${row.discountCents}, ${row.shippingCents}, ${row.taxCents}, ${row.totalCents},
      ${row.currency}, ${order.discountCodes},
      ${order.updatedAt}, ${order.processedAt}, ${row.fulfilledAt}, ${order.cancelledAt})
    ON CONFLICT (shopify_order_id) DO UPDATE
    SET order_number = excluded.order_number,
        customer_email = excluded.customer_email,
        status = (${forward}::text[])[greatest(
          array_position(${forward}::text[], known.status), array_position(${forward}::text[], excluded.status))],
        fulfillment_status = coalesce(${row.fulfillmentStatus}::text, known.fulfillment_status),
        financial_status = coalesce(${row.financialStatus}::text, known.financial_status),
        subtotal_cents = excluded.subtotal_cents,
        discount_cents = excluded.discount_cents,
        shipping_cents = excluded.shipping_cents,
        tax_cents = excluded.tax_cents,
        total_cents = excluded.total_cents,
        currency = excluded.currency,
        discount_codes = excluded.discount_codes,
        shopify_updated_at = excluded.shopify_updated_at,
        order_placed_at = excluded.order_placed_at,
        fulfilled_at = CASE WHEN ${row.fulfillmentStatus}::text IS NULL THEN known.fulfilled_at
                            ELSE excluded.fulfilled_at END,
        cancelled_at = coalesce(excluded.cancelled_at, known.cancelled_at)
    WHERE known.shopify_updated_at IS NULL OR known.shopify_updated_at < excluded.shopify_updated_at
    RETURNING id, status, financial_status, discount_codes`
  const found = stored.rows[0]
  if (!found) return null

  const customerId = customer && (await storeCustomer(customer))
  await sql`UPDATE orders SET customer_id = ${customerId} WHERE id = ${found.id}`
  await replaceLineItems(found.id, lineItems)
  return {
    id: found.id,
    status: found.status,
    financialStatus: found.financial_status,
    discountCodes: found.discount_codes,
  }
}

interface OrderRow {
  id: string
  status: string
  financial_status: string
  discount_codes: string[]
}

function asRow(order: ShopifyOrder) {
  const { currencyCode } = order.totalPriceSet.shopMoney
  const none = { shopMoney: { amount: '0', currencyCode } }
  const discounted = order.subtotalPriceSet ?? none
  const discount = order.totalDiscountsSet ?? none
  const discountCents = toCents(discount.shopMoney)
  return {
    shopifyOrderId: numericId(order.id),
    ...readOrderStatus(order),
    // Shopify's subtotal has the discounts taken off, ours has not: subtotal - discount are the net sales in both.
    subtotalCents: toCents(discounted.shopMoney) + discountCents,
    discountCents,
    shippingCents: toCents(order.totalShippingPriceSet.shopMoney),
    taxCents: toCents((order.totalTaxSet ?? none).shopMoney),
    totalCents: toCents(order.totalPriceSet.shopMoney),
    currency: currencyCode,
  }
}

type CustomerRow = ReturnType<typeof asCustomerRow>

function asCustomerRow(customer: ShopifyCustomer) {
  return {
    shopifyCustomerId: numericId(customer.id),
    email: customer.defaultEmailAddress?.emailAddress ?? null,
    phone: customer.defaultPhoneNumber?.phoneNumber ?? null,
    firstName: customer.firstName,
    lastName: customer.lastName,
    ordersCount: Number(customer.numberOfOrders),
    totalSpentCents: toCentsAtMost(customer.amountSpent),
    currency: customer.amountSpent.currencyCode,
    tags: customer.tags,
    updatedAt: customer.updatedAt,
  }
}

/** Answers its id. Two orders of a customer may be stored in any order: the customer is that of the later update. */
async function storeCustomer(customer: CustomerRow): Promise<string> {
  const { shopifyCustomerId } = customer
  const stored = await sql<{ id: string }>`
    INSERT INTO customers AS known (
      shopify_customer_id, email, phone, first_name, last_name, orders_count, total_spent_cents, currency, tags,
      shopify_updated_at)
    VALUES (
      ${shopifyCustomerId}, ${customer.email}, ${customer.phone}, ${customer.firstName}, ${customer.lastName},
      ${customer.ordersCount}, ${customer.totalSpentCents}, ${customer.currency}, ${customer.tags},
      ${customer.updatedAt})
    ON CONFLICT (shopify_customer_id) DO UPDATE
    SET email = excluded.email,
        phone = excluded.phone,
        first_name = excluded.first_name,
        last_name = excluded.last_name,
        orders_count = excluded.orders_count,
        total_spent_cents = excluded.total_spent_cents,
        currency = excluded.currency,
        tags = excluded.tags,
        shopify_updated_at = excluded.shopify_updated_at
    WHERE known.shopify_updated_at IS NULL OR known.shopify_updated_at <= excluded.shopify_updated_at
    RETURNING id`
  if (stored.rows[0]) return stored.rows[0].id
  const newer = await sql<{ id: string }>`
    SELECT id FROM customers WHERE shopify_customer_id = ${shopifyCustomerId}`
  return newer.rows[0]!.id
}

interface LineItemRow {
  shopify_line_item_id: string
  shopify_product_id: string | null
  title: string
  variant_title: string | null
  sku: string | null
  quantity: number
  price_cents: number
}

function asLineItemRow(item: LineItem): LineItemRow {
  return {
    shopify_line_item_id: numericId(item.id),
    shopify_product_id: item.product && numericId(item.product.id),
    title: item.title,
    variant_title: item.variantTitle,
    sku: item.sku,
    quantity: item.quantity,
    price_cents: toCents(item.originalUnitPriceSet.shopMoney),
  }
}

/** An item that stays keeps its row. A product that is not synced yet, or not any more, does not take a link away. */
async function replaceLineItems(orderId: string, items: readonly LineItemRow[]): Promise<void> {
  const ids = items.map((item) => item.shopify_line_item_id)
  await sql`
    DELETE FROM order_line_items
    WHERE order_id = ${orderId} AND (shopify_line_item_id = ANY(${ids}::text[])) IS NOT TRUE`
  await sql`
    INSERT INTO order_line_items AS known
      (order_id, shopify_line_item_id, product_id, title, variant_title, sku, quantity, price_cents)
    SELECT ${orderId}, shopify_line_item_id, products.id, item.title, variant_title, sku, quantity, item.price_cents
    FROM jsonb_to_recordset(${sql.json(items)}) AS item (
      shopify_line_item_id text, shopify_product_id text, title text, variant_title text, sku text, quantity int,
      price_cents int)
    LEFT JOIN products USING (shopify_product_id)
    ON CONFLICT (shopify_line_item_id) DO UPDATE
    SET order_id = excluded.order_id,
        product_id = coalesce(excluded.product_id, known.product_id),
        title = excluded.title,
        variant_title = excluded.variant_title,
        sku = excluded.sku,
        quantity = excluded.quantity,
        price_cents = excluded.price_cents`
}
