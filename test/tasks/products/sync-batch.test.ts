import { beforeEach, expect, test } from 'vitest'
import { runs, sql, withTenant } from '../../../src/default-platform.ts'
import { InvalidPayloadError } from '../../../src/errors.ts'
import { readServiceError } from '../../../src/services/registry.ts'
import { syncProducts } from '../../../tasks/products/sync-batch.ts'
import { aProduct, aVariant, type ShopifyProduct } from '../../fixtures/providers/shopify.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { add, find } from '../rows.ts'

const providers = useProviders(['shopify'])

beforeEach(() => {
  const { bucket, shop } = providers.shopify
  providers.shopify.products = []
  shop.currencyCode = 'USD'
  bucket.currentlyAvailable = bucket.maximumAvailable
})

const first = '2026-01-10T10:00:00Z'
const later = '2026-01-10T11:00:00Z'

function place(number: number, fields: Partial<ShopifyProduct> = {}): ShopifyProduct {
  const id = `gid://shopify/Product/${number}`
  const product = aProduct({ id, title: `Product ${number}`, createdAt: first, ...fields })
  providers.shopify.products.push(product)
  return product
}

const run = (options: { updatedSince?: string; cursor?: string } = {}) =>
  kit.runTask(syncProducts, { tenantId, ...options })

const requests = () => providers.shopify.received('POST', /graphql/)

async function rows() {
  const { rows } = await withTenant(
    tenantId,
    () => sql<{ id: string; title: string; shopify_product_id: string; variants: unknown[] }>`
      SELECT * FROM products ORDER BY shopify_product_id::bigint`,
  )
  return rows
}

/** The payloads of the runs that were triggered. */
async function triggered() {
  const page = await runs.list({ tenantId, taskId: syncProducts.id })
  return page.runs.map(({ payload }) => payload)
}

test('a product with its variants: the price is that of the cheapest', async () => {
  const variants = [
    aVariant({
      id: 'gid://shopify/ProductVariant/1',
      title: 'L',
      price: '25.00',
      sku: null,
      inventoryQuantity: -2,
    }),
    aVariant({ id: 'gid://shopify/ProductVariant/2', title: 'S', price: '19.90', compareAtPrice: '24.90' }),
    aVariant({ id: 'gid://shopify/ProductVariant/3', title: 'M', price: '19.9', inventoryQuantity: null }),
  ]
  place(11, { handle: 'mug', variants })
  expect(await run()).toEqual({ seen: 1, changed: 1, continuesAfter: null })
  expect(await rows()).toMatchObject([
    {
      shopify_product_id: '11',
      title: 'Product 11',
      handle: 'mug',
      status: 'active',
      price_cents: 1990,
      compare_at_price_cents: 2490,
      currency: 'USD',
      inventory_quantity: 10,
      shopify_updated_at: new Date(first),
      synced_at: expect.any(Date),
      variants: [
        {
          id: '1',
          title: 'L',
          sku: null,
          priceCents: 2500,
          compareAtPriceCents: null,
          inventoryQuantity: -2,
        },
        { id: '2', priceCents: 1990, compareAtPriceCents: 2490, inventoryQuantity: 12 },
        { id: '3', priceCents: 1990, compareAtPriceCents: null, inventoryQuantity: null },
      ],
    },
  ])
})

test.each([
  ['ACTIVE', 'active'],
  ['UNLISTED', 'active'],
  ['ARCHIVED', 'archived'],
  ['DRAFT', 'draft'],
] as const)('%s is %s', async (status, ours) => {
  place(1, { status })
  await run()
  expect(await rows()).toMatchObject([{ status: ours }])
})

test('a status that Shopify has added since is a draft until we know it', async () => {
  const product = place(1)
  const { variants, ...fields } = product
  const nodes = [
    { ...fields, status: 'ON_THE_MOON', variants: { nodes: variants, pageInfo: { hasNextPage: false } } },
  ]
  const products = { nodes, pageInfo: { hasNextPage: false } }
  providers.shopify.answerNext({ body: { data: { shop: providers.shopify.shop, products } } })
  await run()
  expect(await rows()).toMatchObject([{ status: 'draft' }])
})

test('no variants, no price; in yen there are no hundredths', async () => {
  providers.shopify.shop.currencyCode = 'JPY'
  place(1, { variants: [] })
  place(2, { variants: [aVariant({ price: '1990' })] })
  await run()
  expect(await rows()).toMatchObject([
    { price_cents: null, compare_at_price_cents: null, variants: [], currency: 'JPY' },
    { price_cents: 1990, currency: 'JPY' },
  ])
})

test('a version that is older or the same changes nothing; a newer one changes the row', async () => {
  const product = place(1, { updatedAt: later })
  await run()
  const before = await rows()
  for (const updatedAt of [later, first]) {
    Object.assign(product, { title: 'Other', updatedAt })
    expect(await run()).toMatchObject({ seen: 1, changed: 0 })
  }
  expect(await rows()).toEqual(before)
  product.updatedAt = '2026-01-10T12:00:00Z'
  expect(await run()).toMatchObject({ changed: 1 })
  expect(await rows()).toMatchObject([{ id: before[0]!.id, title: 'Other' }])
})

test('a row that was never synced is taken over; one that the shop does not have is left alone', async () => {
  const known = await add(tenantId, 'products', { shopify_product_id: '1', title: 'By hand' })
  const own = await add(tenantId, 'products', { title: 'Our own' })
  const gone = await add(tenantId, 'products', { shopify_product_id: '9', title: 'Gone' })
  place(1)
  expect(await run()).toMatchObject({ seen: 1, changed: 1 })
  expect((await find(tenantId, 'products', known)).title).toBe('Product 1')
  expect((await find(tenantId, 'products', own)).title).toBe('Our own')
  expect((await find(tenantId, 'products', gone)).title).toBe('Gone')
})

test('every page, in the order of ids', async () => {
  for (let number = 120; number >= 1; number -= 1) place(number)
  expect(await run()).toEqual({ seen: 120, changed: 120, continuesAfter: null })
  expect(requests()).toHaveLength(5)
  expect((await rows()).map(({ shopify_product_id }) => Number(shopify_product_id))).toEqual(
    Array.from({ length: 120 }, (_, n) => n + 1),
  )
})

test('variants beyond a page', async () => {
  const variants = Array.from({ length: 300 }, (_, n) => aVariant({ title: `v${n}`, price: `${500 - n}.00` }))
  place(1, { variants })
  place(2)
  await run()
  const [many] = await rows()
  expect(many).toMatchObject({ price_cents: 20_100 })
  expect(many!.variants).toHaveLength(300)
  expect(requests()).toHaveLength(1 + 2)
})

test('a product that is deleted while its variants are read keeps those that were read', async () => {
  const product = place(1, { variants: Array.from({ length: 30 }, () => aVariant()) })
  providers.shopify.answerNext(
    { body: { data: { product: null } } },
    { matches: ({ body }) => body.variables.id === product.id },
  )
  await run()
  expect((await rows())[0]!.variants).toHaveLength(25)
})

test('updatedSince and cursor', async () => {
  place(1, { updatedAt: later })
  place(2, { updatedAt: first })
  place(3, { updatedAt: later })
  place(10, { updatedAt: later })
  // The same moment as `later`, an hour east.
  expect(await run({ updatedSince: '2026-01-10T12:00:00+01:00', cursor: '2' })).toMatchObject({ seen: 2 })
  expect((await rows()).map(({ title }) => title)).toEqual(['Product 3', 'Product 10'])
  expect(await run({ updatedSince: later })).toMatchObject({ seen: 3, changed: 1 })
  expect(await run({ cursor: '1' })).toMatchObject({ seen: 3, changed: 1 })
})

test('a large catalogue is a chain of runs', async () => {
  for (let number = 1; number <= 1_010; number += 1) place(number, { updatedAt: number % 2 ? first : later })
  const runId = 'run-of-the-test'
  const payload = { tenantId, updatedSince: first }
  expect(await kit.runTask(syncProducts, payload, { runId })).toEqual({
    seen: 1000,
    changed: 1000,
    continuesAfter: '1000',
  })
  // A second attempt of that run, its answer having been lost, changes nothing and triggers nothing more.
  expect(await kit.runTask(syncProducts, payload, { runId })).toMatchObject({ changed: 0 })
  expect(await triggered()).toEqual([{ ...payload, cursor: '1000' }])
  expect(await kit.drain()).toMatchObject({ completed: 1, failed: 0 })
  expect(await rows()).toHaveLength(1010)
  expect(await triggered()).toHaveLength(1)
})

test('a shop that asks to wait on the way: what was read is kept, the rest is a new run', async () => {
  for (let number = 1; number <= 60; number += 1) place(number)
  const { bucket, queryCost } = providers.shopify
  bucket.currentlyAvailable = 2 * queryCost
  expect(await run()).toEqual({ seen: 50, changed: 50, continuesAfter: '50' })

  // That run does not get anywhere at first, so it is held, and goes on by itself.
  await kit.drain()
  expect(await rows()).toHaveLength(50)
  bucket.currentlyAvailable = 2_000
  await kit.advance('1h')
  await kit.drain()
  expect(await rows()).toHaveLength(60)
  expect(await triggered()).toHaveLength(1)
})

test('a shop that takes nothing at all is left to the platform', async () => {
  place(1)
  providers.shopify.bucket.currentlyAvailable = 0
  const error = await run().catch((reason: unknown) => reason)
  expect(readServiceError(error)).toMatchObject({ kind: 'limited' })
  expect(await triggered()).toEqual([])
})

test('a page that fails is tried again; what was stored before it is not stored twice', async () => {
  for (let number = 1; number <= 30; number += 1) place(number)
  const secondPage = {
    matches: ({ body }: { body: { variables: { after: string | null } } }) => !!body.variables.after,
  }
  providers.shopify.loseAnswer({ instead: 'reset' }, secondPage)
  const error = await run().catch((reason: unknown) => reason)
  expect(readServiceError(error)).toMatchObject({ kind: 'transient' })
  expect(await rows()).toHaveLength(25)
  expect(await run()).toEqual({ seen: 30, changed: 5, continuesAfter: null })
  expect(await triggered()).toEqual([])
})

test('a price that cannot be kept is said at the end, and keeps no other product out', async () => {
  for (let number = 1; number <= 30; number += 1) place(number)
  providers.shopify.products[1]!.variants = [aVariant({ price: '0.005' })]
  providers.shopify.products[27]!.variants = [aVariant({ compareAtPrice: '99999999.99' })]
  await expectAbort(run(), /2, 28\./)
  expect(await rows()).toHaveLength(28)
})

test('two runs at once store each product once', async () => {
  for (let number = 1; number <= 60; number += 1) place(number)
  const answers = await Promise.all([run(), run(), run()])
  expect(answers.reduce((sum, { changed }) => sum + changed, 0)).toBe(60)
  expect(await rows()).toHaveLength(60)
})

test.each([{ cursor: 'abc' }, { cursor: '' }, { updatedSince: 'yesterday' }])(
  'the payload %o is refused',
  async (options) => {
    await expect(run(options)).rejects.toThrow(InvalidPayloadError)
  },
)
