import { expect, test } from 'vitest'
import { sql, transaction, withTenant } from '../../../src/default-platform.ts'
import { AbortTaskError } from '../../../src/errors.ts'
import type { LineItem, ShopifyCustomer, ShopifyOrder } from '../../../tasks/orders/fetch-order.ts'
import { storeOrder } from '../../../tasks/orders/store-order.ts'
import { tenantId, useTestPlatform } from '../kit.ts'
import { add, addOrder, find, set } from '../rows.ts'

useTestPlatform()

const store = (order: ShopifyOrder) => withTenant(tenantId, () => transaction(() => storeOrder(order)))

const usd = (amount: string) => ({ shopMoney: { amount, currencyCode: 'USD' } })
/** Later minutes are later versions. */
const at = (minute: number) => `2026-01-10T10:${String(minute).padStart(2, '0')}:00Z`

const customer: ShopifyCustomer = {
  id: 'gid://shopify/Customer/7',
  updatedAt: at(0),
  defaultEmailAddress: { emailAddress: 'ada@x.test' },
  defaultPhoneNumber: { phoneNumber: '+15550100' },
  firstName: 'Ada',
  lastName: 'L',
  numberOfOrders: '3',
  amountSpent: { amount: '250.5', currencyCode: 'USD' },
  tags: ['vip', 'a,b'],
}

const lineItem = (number: number, fields: Partial<LineItem> = {}): LineItem => ({
  id: `gid://shopify/LineItem/${number}`,
  title: `Item ${number}`,
  variantTitle: null,
  sku: `SKU-${number}`,
  quantity: 1,
  originalUnitPriceSet: usd('10.00'),
  product: null,
  ...fields,
})

const order = (fields: Partial<ShopifyOrder> = {}): ShopifyOrder => ({
  id: 'gid://shopify/Order/1',
  name: '#1001',
  email: 'ada@x.test',
  updatedAt: at(1),
  processedAt: at(0),
  cancelledAt: null,
  displayFinancialStatus: 'PAID',
  displayFulfillmentStatus: 'UNFULFILLED',
  discountCodes: ['SUMMER'],
  subtotalPriceSet: usd('90.0'),
  totalDiscountsSet: usd('10.0'),
  totalShippingPriceSet: usd('4.95'),
  totalTaxSet: usd('7.5'),
  totalPriceSet: usd('102.45'),
  customer,
  fulfillments: [],
  lineItems: [lineItem(1), lineItem(2)],
  ...fields,
})

async function lines(orderId: string) {
  const { rows } = await withTenant(
    tenantId,
    () => sql<Record<string, unknown>>`
      SELECT id, shopify_line_item_id, product_id, title, quantity, price_cents FROM order_line_items
      WHERE order_id = ${orderId} ORDER BY shopify_line_item_id`,
  )
  return rows
}

async function count(table: string) {
  const { rows } = await withTenant(
    tenantId,
    () => sql<{ count: number }>`SELECT count(*)::int AS count FROM ${sql.identifier(table)}`,
  )
  return rows[0]!.count
}

test('an order comes with its customer and its line items', async () => {
  const productId = await add(tenantId, 'products', { shopify_product_id: '5', title: 'P' })
  const product = { id: 'gid://shopify/Product/5' }
  const unknown = { id: 'gid://shopify/Product/6' }
  const items = [lineItem(1, { product, quantity: 2 }), lineItem(2, { product: unknown })]
  const stored = (await store(order({ lineItems: items })))!
  expect(stored).toEqual({
    id: stored.id,
    status: 'confirmed',
    financialStatus: 'paid',
    discountCodes: ['SUMMER'],
  })

  const row = await find(tenantId, 'orders', stored.id)
  expect(row).toMatchObject({
    shopify_order_id: '1',
    order_number: '#1001',
    customer_email: 'ada@x.test',
    fulfillment_status: 'unfulfilled',
    subtotal_cents: 10_000,
    discount_cents: 1000,
    shipping_cents: 495,
    tax_cents: 750,
    total_cents: 10_245,
    currency: 'USD',
    shopify_updated_at: new Date(at(1)),
    order_placed_at: new Date(at(0)),
    processed_at: null,
    fulfilled_at: null,
    cancelled_at: null,
  })
  expect(await find(tenantId, 'customers', row.customer_id)).toMatchObject({
    shopify_customer_id: '7',
    email: 'ada@x.test',
    phone: '+15550100',
    first_name: 'Ada',
    last_name: 'L',
    orders_count: 3,
    total_spent_cents: 25_050,
    currency: 'USD',
    tags: ['vip', 'a,b'],
  })
  expect(await lines(stored.id)).toMatchObject([
    { shopify_line_item_id: '1', product_id: productId, title: 'Item 1', quantity: 2, price_cents: 1000 },
    { shopify_line_item_id: '2', product_id: null, title: 'Item 2', quantity: 1, price_cents: 1000 },
  ])
})

test('a version that is older or the same changes nothing', async () => {
  const { id } = (await store(order({ updatedAt: at(5) })))!
  const before = [await find(tenantId, 'orders', id), await lines(id)]
  const other = { name: '#other', customer: null, lineItems: [], displayFinancialStatus: 'REFUNDED' }
  expect(await store(order({ ...other, updatedAt: at(4) }))).toBeNull()
  expect(await store(order({ ...other, updatedAt: at(5) }))).toBeNull()
  expect([await find(tenantId, 'orders', id), await lines(id)]).toEqual(before)
})

test('of many versions at once the newest stays, with its own line items and customer', async () => {
  const versions = Array.from({ length: 12 }, (_, minute) =>
    order({
      name: `#v${minute}`,
      updatedAt: at(minute),
      lineItems: [lineItem(1, { quantity: minute + 1 }), lineItem(100 + minute)],
      customer: { ...customer, updatedAt: at(minute), firstName: `v${minute}` },
    }),
  )
  const shuffled = [7, 2, 11, 0, 5, 9, 1, 10, 3, 8, 4, 6].map((index) => versions[index]!)
  const answers = await Promise.all(shuffled.map(store))
  const { id } = answers.find((answer) => answer !== null)!
  const row = await find(tenantId, 'orders', id)
  expect(row.order_number).toBe('#v11')
  expect(await lines(id)).toMatchObject([
    { shopify_line_item_id: '1', quantity: 12 },
    { shopify_line_item_id: '111', quantity: 1 },
  ])
  expect((await find(tenantId, 'customers', row.customer_id)).first_name).toBe('v11')
  expect([await count('orders'), await count('customers')]).toEqual([1, 1])
})

test('line items: those that stay keep their rows and products, those that went are gone', async () => {
  const productId = await add(tenantId, 'products', { shopify_product_id: '5', title: 'P' })
  const product = { id: 'gid://shopify/Product/5' }
  const { id } = (await store(order({ lineItems: [lineItem(1, { product }), lineItem(2)] })))!
  await add(tenantId, 'order_line_items', { order_id: id, title: 'by hand', quantity: 1, price_cents: 1 })
  const [kept] = await lines(id)

  const items = [lineItem(1, { title: 'Renamed', product: null }), lineItem(3)]
  await store(order({ updatedAt: at(2), lineItems: items }))
  expect(await lines(id)).toMatchObject([
    { id: kept!.id, shopify_line_item_id: '1', title: 'Renamed', product_id: productId },
    { shopify_line_item_id: '3' },
  ])
  await store(order({ updatedAt: at(3), lineItems: [] }))
  expect(await lines(id)).toEqual([])
})

test.each([
  ['pending', {}, 'confirmed'],
  ['processing', {}, 'processing'],
  ['processing', { displayFinancialStatus: 'PENDING' }, 'processing'],
  ['processing', { displayFulfillmentStatus: 'FULFILLED' }, 'shipped'],
  ['delivered', { displayFulfillmentStatus: 'FULFILLED' }, 'delivered'],
  ['delivered', { displayFinancialStatus: 'REFUNDED' }, 'refunded'],
  ['processing', { cancelledAt: at(2) }, 'cancelled'],
  ['refunded', { cancelledAt: at(2) }, 'cancelled'],
  ['refunded', {}, 'refunded'],
  ['cancelled', { displayFulfillmentStatus: 'FULFILLED' }, 'cancelled'],
])('an order that is %s and at Shopify %o is %s', async (status, fields, expected) => {
  const processed_at = new Date(at(0))
  const id = await addOrder(tenantId, { shopify_order_id: '1', status, processed_at })
  expect(await store(order(fields))).toMatchObject({ id, status: expected })
  expect(await find(tenantId, 'orders', id)).toMatchObject({ status: expected, processed_at })
})

test('a status without a word leaves what the row has; a new row has none of it yet', async () => {
  const parcel = { status: 'SUCCESS', createdAt: at(3), deliveredAt: null }
  const fulfilled = { displayFulfillmentStatus: 'FULFILLED', fulfillments: [parcel] }
  const { id } = (await store(order(fulfilled)))!
  const beyondUs = { displayFinancialStatus: 'ON_THE_MOON', displayFulfillmentStatus: 'ON_THE_MOON' }
  await store(order({ ...beyondUs, updatedAt: at(2) }))
  expect(await find(tenantId, 'orders', id)).toMatchObject({
    status: 'shipped',
    financial_status: 'paid',
    fulfillment_status: 'fulfilled',
    fulfilled_at: new Date(at(3)),
    shopify_updated_at: new Date(at(2)),
  })
  await store(order({ updatedAt: at(3) }))
  expect(await find(tenantId, 'orders', id)).toMatchObject({
    fulfillment_status: 'unfulfilled',
    fulfilled_at: null,
  })

  const fresh = (await store(order({ ...beyondUs, id: 'gid://shopify/Order/2' })))!
  expect(await find(tenantId, 'orders', fresh.id)).toMatchObject({
    status: 'pending',
    financial_status: 'pending',
    fulfillment_status: 'unfulfilled',
  })
})

test('what an order does not have: a customer, an email, discounts, taxes', async () => {
  const bare = {
    customer: null,
    email: null,
    subtotalPriceSet: null,
    totalDiscountsSet: null,
    totalTaxSet: null,
  }
  const { id } = (await store(order(bare)))!
  expect(await find(tenantId, 'orders', id)).toMatchObject({
    customer_id: null,
    customer_email: null,
    subtotal_cents: 0,
    discount_cents: 0,
    tax_cents: 0,
  })
  const anonymous = {
    ...customer,
    defaultEmailAddress: null,
    defaultPhoneNumber: null,
    firstName: null,
    tags: [],
  }
  await store(order({ updatedAt: at(2), customer: anonymous }))
  const { customer_id } = await find(tenantId, 'orders', id)
  expect(await find(tenantId, 'customers', customer_id)).toMatchObject({ email: null, phone: null, tags: [] })
})

test('orders of one customer in any order: the later update of the customer stays', async () => {
  const first = order({ customer: { ...customer, updatedAt: at(9), numberOfOrders: '4' } })
  const second = order({ id: 'gid://shopify/Order/2', customer: { ...customer, updatedAt: at(8) } })
  const ids = [(await store(first))!.id, (await store(second))!.id]
  const rows = [await find(tenantId, 'orders', ids[0]!), await find(tenantId, 'orders', ids[1]!)]
  expect(rows[0].customer_id).toBe(rows[1].customer_id)
  expect((await find(tenantId, 'customers', rows[0].customer_id)).orders_count).toBe(4)

  await set(tenantId, 'customers', rows[0].customer_id, 'shopify_updated_at', null)
  await store(order({ updatedAt: at(10) }))
  expect((await find(tenantId, 'customers', rows[0].customer_id)).orders_count).toBe(3)
})

test('yen are whole, and what is no amount of cents leaves nothing behind', async () => {
  const yen = (amount: string) => ({ shopMoney: { amount, currencyCode: 'JPY' } })
  const amounts = {
    subtotalPriceSet: yen('9000.0'),
    totalDiscountsSet: yen('1000.0'),
    totalShippingPriceSet: yen('500.0'),
    totalTaxSet: yen('900.0'),
    totalPriceSet: yen('10400.0'),
    lineItems: [lineItem(1, { originalUnitPriceSet: yen('10000.0') })],
  }
  const { id } = (await store(order(amounts)))!
  const inYen = { currency: 'JPY', subtotal_cents: 10_000, total_cents: 10_400 }
  expect(await find(tenantId, 'orders', id)).toMatchObject(inYen)

  const broken = {
    id: 'gid://shopify/Order/2',
    lineItems: [lineItem(9, { originalUnitPriceSet: usd('0.005') })],
  }
  await expect(store(order(broken))).rejects.toThrow(AbortTaskError)
  expect([await count('orders'), await count('customers')]).toEqual([1, 1])
})
