/** Reads an order from Shopify, with all of its line items and as one version of it. */
import type { ServiceClients } from '@cgk-platform/jobs'
import { gid } from '../shopify/ids.ts'
import type { Money, MoneyBag } from '../shopify/money.ts'
import type { Fulfillment } from './order-status.ts'

export interface ShopifyOrder {
  id: string
  /** '#1001' */
  name: string
  email: string | null
  updatedAt: string
  /** When it was placed; createdAt is when Shopify has got it, which for an imported order is later. */
  processedAt: string
  cancelledAt: string | null
  displayFinancialStatus: string | null
  displayFulfillmentStatus: string
  discountCodes: string[]
  /** After discounts. */
  subtotalPriceSet: MoneyBag | null
  totalDiscountsSet: MoneyBag | null
  totalShippingPriceSet: MoneyBag
  totalTaxSet: MoneyBag | null
  totalPriceSet: MoneyBag
  customer: ShopifyCustomer | null
  fulfillments: Fulfillment[]
  lineItems: LineItem[]
}

export interface ShopifyCustomer {
  id: string
  updatedAt: string
  defaultEmailAddress: { emailAddress: string } | null
  defaultPhoneNumber: { phoneNumber: string } | null
  firstName: string | null
  lastName: string | null
  /** Text: Shopify's UnsignedInt64. */
  numberOfOrders: string
  amountSpent: Money
  tags: string[]
}

export interface LineItem {
  id: string
  title: string
  variantTitle: string | null
  sku: string | null
  quantity: number
  originalUnitPriceSet: MoneyBag
  /** Null: no product of the shop, or one that was deleted. */
  product: { id: string } | null
}

// An amount is two objects and a query may cost 1000 points, hence 100 items a page.
const orderQuery = `
  query Order($id: ID!, $itemsAfter: String) {
    order(id: $id) {
      id name email updatedAt processedAt cancelledAt
      displayFinancialStatus displayFulfillmentStatus discountCodes
      subtotalPriceSet { shopMoney { amount currencyCode } }
      totalDiscountsSet { shopMoney { amount currencyCode } }
      totalShippingPriceSet { shopMoney { amount currencyCode } }
      totalTaxSet { shopMoney { amount currencyCode } }
      totalPriceSet { shopMoney { amount currencyCode } }
      customer {
        id updatedAt firstName lastName numberOfOrders tags
        defaultEmailAddress { emailAddress }
        defaultPhoneNumber { phoneNumber }
        amountSpent { amount currencyCode }
      }
      fulfillments(first: 50) { status createdAt deliveredAt }
      lineItems(first: 100, after: $itemsAfter) {
        nodes {
          id title variantTitle sku quantity
          originalUnitPriceSet { shopMoney { amount currencyCode } }
          product { id }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
  }`

interface OrderAnswer {
  order: (Omit<ShopifyOrder, 'lineItems'> & { lineItems: LineItemPage }) | null
}

interface LineItemPage {
  nodes: LineItem[]
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

const mostReads = 3

/** Null: Shopify has no such order (any more). */
export async function fetchOrder(
  shopify: ServiceClients['shopify'],
  shopifyOrderId: string,
): Promise<ShopifyOrder | null> {
  for (let read = 1; read <= mostReads; read += 1) {
    const order = await readPages()
    if (order !== 'changed') return order
  }
  throw new Error(`Order ${shopifyOrderId} changes at Shopify faster than its line items can be read.`)

  /** Pages of two versions do not make an order. */
  async function readPages(): Promise<ShopifyOrder | 'changed' | null> {
    const first = await readPage(null)
    if (!first) return null
    const items = [...first.lineItems.nodes]
    let { pageInfo } = first.lineItems
    while (pageInfo.hasNextPage) {
      const next = await readPage(pageInfo.endCursor)
      if (next?.updatedAt !== first.updatedAt) return 'changed'
      items.push(...next.lineItems.nodes)
      pageInfo = next.lineItems.pageInfo
    }
    return { ...first, lineItems: items }
  }

  async function readPage(itemsAfter: string | null) {
    const variables = { id: gid('Order', shopifyOrderId), itemsAfter }
    const { data } = await shopify.request<OrderAnswer>(orderQuery, { variables })
    return data?.order ?? null
  }
}
