import { expect, test } from 'vitest'
import { sql, withTenant } from '../../../src/default-platform.ts'
import { InvalidPayloadError } from '../../../src/errors.ts'
import type { ServiceFailure } from '../../../src/services/failure.ts'
import { readServiceError } from '../../../src/services/registry.ts'
import { creditCommission } from '../../../tasks/orders/credit-commission.ts'
import { syncOrderFromShopify } from '../../../tasks/orders/sync-from-shopify.ts'
import {
  aCustomer,
  aFulfillment,
  aLineItem,
  anOrder,
  money,
  type ShopifyOrder,
  webhookBody,
} from '../../fixtures/providers/shopify.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { add, addCreator, expectLedgerToAgree, find } from '../rows.ts'

const providers = useProviders(['shopify'])

/** Puts it into the shop. */
function place(fields: Partial<ShopifyOrder> = {}): ShopifyOrder {
  const order = anOrder({ createdAt: '2026-01-10T10:00:00Z', ...fields })
  providers.shopify.orders.push(order)
  return order
}

const sync = (shopifyOrderId: string) =>
  kit.runTask(syncOrderFromShopify, { tenantId, shopifyOrderId, source: 'manual' })

const requests = () => providers.shopify.received('POST', /graphql/)

async function linesOf(orderId: string) {
  const { rows } = await withTenant(
    tenantId,
    () => sql<{ title: string; product_id: string | null; price_cents: number }>`
      SELECT title, product_id, price_cents FROM order_line_items WHERE order_id = ${orderId} ORDER BY title`,
  )
  return rows
}

test('an order of the shop becomes ours, by its number or by its gid', async () => {
  const productId = await add(tenantId, 'products', { shopify_product_id: '77', title: 'Mug' })
  const product = { id: 'gid://shopify/Product/77' }
  const order = place({
    lineItems: [
      aLineItem({ title: 'a', quantity: 2, originalUnitPriceSet: money('19.9'), product }),
      aLineItem({ title: 'b', quantity: 1, originalUnitPriceSet: money('5.0') }),
    ],
    totalDiscountsSet: money('4.8'),
    totalTaxSet: money('3.21'),
    displayFulfillmentStatus: 'FULFILLED',
    fulfillments: [aFulfillment({ createdAt: '2026-01-11T00:00:00Z', deliveredAt: '2026-01-13T00:00:00Z' })],
    customer: aCustomer({
      id: 'gid://shopify/Customer/9',
      phone: '+15550100',
      numberOfOrders: '12',
      amountSpent: money('1234.5').shopMoney,
      tags: ['vip'],
    }),
  })
  const answer = await sync(order.legacyResourceId)
  expect(answer).toEqual({ orderId: expect.any(String), credits: false, isStale: false })
  const row = await find(tenantId, 'orders', answer.orderId!)
  expect(row).toMatchObject({
    shopify_order_id: order.legacyResourceId,
    order_number: order.name,
    customer_email: 'ada@example.com',
    status: 'delivered',
    financial_status: 'paid',
    fulfillment_status: 'fulfilled',
    subtotal_cents: 4480,
    discount_cents: 480,
    shipping_cents: 500,
    tax_cents: 321,
    total_cents: 4821,
    order_placed_at: new Date('2026-01-10T10:00:00Z'),
    fulfilled_at: new Date('2026-01-13T00:00:00Z'),
  })
  expect(await find(tenantId, 'customers', row.customer_id)).toMatchObject({
    shopify_customer_id: '9',
    email: 'ada@example.com',
    phone: '+15550100',
    orders_count: 12,
    total_spent_cents: 123_450,
    tags: ['vip'],
  })
  expect(await linesOf(row.id)).toEqual([
    { title: 'a', product_id: productId, price_cents: 1990 },
    { title: 'b', product_id: null, price_cents: 500 },
  ])

  expect(await sync(order.id)).toEqual({ orderId: answer.orderId, credits: false, isStale: true })
  expect(await find(tenantId, 'orders', row.id)).toEqual(row)
})

test('line items beyond a page, as one version of the order', async () => {
  const items = (count: number) => Array.from({ length: count }, (_, n) => aLineItem({ title: `item ${n}` }))
  const order = place({ lineItems: items(230) })
  const { orderId } = await sync(order.id)
  expect(await linesOf(orderId!)).toHaveLength(230)
  expect(requests()).toHaveLength(3)

  // The order is edited between its first page and its second: it is read again from the start.
  providers.shopify.requests.splice(0)
  order.updatedAt = '2026-01-10T11:00:00Z'
  const edit = () => Object.assign(order, { updatedAt: '2026-01-10T12:00:00Z', lineItems: items(150) })
  providers.shopify.loseAnswer(async ({ text }) => {
    const answer = await answerTo(text)
    edit()
    return answer
  })
  expect(await sync(order.id)).toMatchObject({ isStale: false })
  expect(await linesOf(orderId!)).toHaveLength(150)
  expect((await find(tenantId, 'orders', orderId!)).shopify_updated_at).toEqual(new Date(order.updatedAt))
  expect(requests()).toHaveLength(1 + 1 + 1 + 2)
})

/** What the shop says now, asked beside the client. */
async function answerTo(text: string) {
  const token = providers.shopify.requests.at(-1)!.headers['x-shopify-access-token']!
  const response = await fetch(`${providers.shopify.url}/admin/api/2026-10/graphql.json`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-shopify-access-token': token },
    body: text,
  })
  return { body: await response.json() }
}

test('an order that never stands still is given up for now', async () => {
  const order = place({ lineItems: Array.from({ length: 120 }, () => aLineItem()) })
  let hour = 0
  providers.shopify.loseAnswer(
    async ({ text }) => {
      const answer = await answerTo(text)
      order.updatedAt = `2026-01-11T${String(hour++).padStart(2, '0')}:00:00Z`
      return answer
    },
    { times: 20, matches: ({ headers }) => headers['user-agent'] !== 'node' },
  )
  await expect(sync(order.id)).rejects.toThrow(/changes at Shopify faster/)
})

test('an order that the shop does not have (any more) fails at once, and nothing is written', async () => {
  await expectAbort(sync('123'), /no order 123/)
  const order = place()
  const { orderId } = await sync(order.id)
  providers.shopify.orders.splice(providers.shopify.orders.indexOf(order), 1)
  await expectAbort(sync(order.id), /or not any more/)
  expect((await find(tenantId, 'orders', orderId!)).status).toBe('confirmed')
})

test('amounts in yen, and one that is no amount of cents', async () => {
  const items = [aLineItem({ quantity: 1 }, 'JPY')]
  items[0]!.originalUnitPriceSet = money('1990.0', 'JPY')
  const inYen = {
    currencyCode: 'JPY',
    lineItems: items,
    totalShippingPriceSet: money('500.0', 'JPY'),
    subtotalPriceSet: money('1990.0', 'JPY'),
    totalPriceSet: money('2490.0', 'JPY'),
    customer: aCustomer({ amountSpent: money('12490.0', 'JPY').shopMoney }),
  }
  const { orderId } = await sync(place(inYen).id)
  expect(await find(tenantId, 'orders', orderId!)).toMatchObject({ currency: 'JPY', total_cents: 2490 })
  const half = place({ ...inYen, totalPriceSet: money('2490.5', 'JPY') })
  await expectAbort(sync(half.id), /2490.5 JPY/)
})

test('a paid order with a code is credited, once', async () => {
  const creatorId = await addCreator(tenantId, { referral_code: 'SUMMER', commission_rate_pct: '10.00' })
  const order = place({ discountCodes: ['summer'], totalDiscountsSet: money('3.98') })
  const answer = await sync(order.id)
  expect(answer.credits).toBe(true)
  const { orderId } = answer
  await kit.assertEnqueued(creditCommission, { tenantId, payload: { orderId: orderId! } })

  order.updatedAt = '2026-01-10T11:00:00Z'
  expect((await sync(order.id)).credits).toBe(true)
  expect(await kit.drain()).toMatchObject({ completed: 1, failed: 0 })
  // 10 % of what was paid for the goods: 39.80 - 3.98.
  expect((await find(tenantId, 'creators', creatorId)).pending_balance_cents).toBe(358)
  await expectLedgerToAgree(tenantId)
})

test.each<[string, Partial<ShopifyOrder>]>([
  ['without a code', { discountCodes: [] }],
  ['not paid', { displayFinancialStatus: 'PENDING' }],
  ['authorized', { displayFinancialStatus: 'AUTHORIZED' }],
  ['partly paid', { displayFinancialStatus: 'PARTIALLY_PAID' }],
  ['refunded', { displayFinancialStatus: 'REFUNDED' }],
  ['cancelled', { cancelledAt: '2026-01-10T11:00:00Z' }],
])('an order that is %s earns nothing', async (_, fields) => {
  expect((await sync(place({ discountCodes: ['SUMMER'], ...fields }).id)).credits).toBe(false)
  await kit.refuteEnqueued(creditCommission, { tenantId })
})

test('an order that is paid later is credited then', async () => {
  const order = place({ discountCodes: ['SUMMER'], displayFinancialStatus: 'PENDING' })
  expect((await sync(order.id)).credits).toBe(false)
  Object.assign(order, { displayFinancialStatus: 'PARTIALLY_REFUNDED', updatedAt: '2026-01-10T11:00:00Z' })
  expect((await sync(order.id)).credits).toBe(true)
})

test('runs at once for one order store it once', async () => {
  const order = place({ discountCodes: ['SUMMER'] })
  const answers = await Promise.all(Array.from({ length: 8 }, () => sync(order.id)))
  expect(answers.filter(({ isStale }) => !isStale)).toHaveLength(1)
  expect(new Set(answers.map(({ orderId }) => orderId)).size).toBe(1)
  expect(await linesOf(answers[0]!.orderId!)).toHaveLength(1)
})

test('when storing fails nothing of it stays, neither rows nor the commission', async () => {
  const lineItems = [aLineItem({ quantity: -1 })]
  const amounts = { subtotalPriceSet: money('1.0'), totalPriceSet: money('1.0') }
  const order = place({ discountCodes: ['SUMMER'], lineItems, ...amounts })
  await expect(sync(order.id)).rejects.toThrow(/quantity/)
  await kit.refuteEnqueued(creditCommission, { tenantId })
  const { rows } = await withTenant(tenantId, () => sql`SELECT FROM orders UNION ALL SELECT FROM customers`)
  expect(rows).toEqual([])
})

test.each<[string, Parameters<typeof providers.shopify.answerNext>[0], ServiceFailure['kind']]>([
  ['an answer that never came', { instead: 'reset' }, 'transient'],
  ['a shop that is down', { status: 503, body: 'x' }, 'transient'],
  ['a token that is not taken', { status: 401, body: { errors: 'x' } }, 'refused'],
  ['too many requests', { status: 429, body: { errors: 'x' }, headers: { 'retry-after': '2' } }, 'limited'],
])('%s is left to the platform, and the next attempt does it', async (_, answer, kind) => {
  const order = place()
  providers.shopify.answerNext(answer)
  const error = await sync(order.id).catch((reason: unknown) => reason)
  expect(readServiceError(error)).toMatchObject({ service: 'shopify', kind })
})

test('through the queue: a reset is retried, and ten webhooks of an order make one row', async () => {
  const order = place()
  providers.shopify.loseAnswer()
  for (let n = 0; n < 10; n += 1) {
    await syncOrderFromShopify.trigger({ tenantId, shopifyOrderId: order.id, source: 'webhook' })
  }
  await kit.drain()
  await kit.advance('1h')
  await kit.drain()
  const { rows } = await withTenant(tenantId, () => sql<{ status: string }>`SELECT status FROM orders`)
  expect(rows).toEqual([{ status: 'confirmed' }])
})

test('webhooks: which order they are about', () => {
  const [{ events, payload }] = syncOrderFromShopify.webhooks as [(typeof syncOrderFromShopify.webhooks)[0]]
  expect(events).toEqual(expect.arrayContaining(['orders/create', 'orders/updated', 'refunds/create']))
  const order = anOrder({ id: 'gid://shopify/Order/5000000000001' })
  const about = { shopifyOrderId: '5000000000001', source: 'webhook' }
  const read = (type: string, body: unknown) => payload({ id: 'e', type, body })
  expect(read('orders/updated', webhookBody(order))).toEqual(about)
  expect(read('refunds/create', { id: 7, order_id: 5_000_000_000_001 })).toEqual(about)
  for (const body of [null, 'x', {}, { id: 0 }, { id: '1' }, { id: 1.5 }]) {
    expect(read('orders/updated', body)).toBeNull()
    expect(read('refunds/create', body)).toBeNull()
  }
})

test.each(['', '#1001', '0', '12a', 'gid://shopify/Customer/1', 'gid://shopify/Order/', '1'.repeat(21)])(
  'the id %j is refused',
  async (shopifyOrderId) => {
    await expect(sync(shopifyOrderId)).rejects.toThrow(InvalidPayloadError)
  },
)
