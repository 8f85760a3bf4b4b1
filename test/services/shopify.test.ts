import type { AdminApiClient } from '@shopify/admin-api-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ServiceClientClosedError } from '../../src/errors.ts'
import { ShopifyError, shopify } from '../../src/services/shopify.ts'
import type { ProviderAnswer } from '../fixtures/providers/server.ts'
import {
  aFulfillment,
  aLineItem,
  anOrder,
  aProduct,
  aVariant,
  money,
  ShopifyServer,
  signWebhook,
  webhookBody,
} from '../fixtures/providers/shopify.ts'
import { errorOf, onWire } from './kit.ts'
import { type WireSubject, wireBehaviour } from './wire-suite.ts'

const credentials = {
  shop_domain: 'shop-of-the-test.myshopify.com',
  access_token: 'shpat_token_of_the_fixture',
  webhook_secret: 'shpss_secret_of_the_fixture',
}

let server: ShopifyServer

beforeEach(async () => {
  server = await new ShopifyServer(credentials.access_token).listen()
})

afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  await server.close()
})

const orderQuery = /* GraphQL */ `
  query Order($id: ID!) {
    order(id: $id) {
      id name totalPriceSet { shopMoney { amount currencyCode } }
      customer { defaultEmailAddress { emailAddress } }
      lineItems(first: 2) { nodes { title quantity } pageInfo { hasNextPage endCursor } }
      fulfillments(first: 10) { status deliveredAt trackingInfo { number } }
    }
  }
`

const ordersQuery = /* GraphQL */ `
  query OrdersUpdated($query: String, $after: String) {
    orders(first: 2, after: $after, query: $query, sortKey: UPDATED_AT) {
      nodes { id updatedAt }
      pageInfo { hasNextPage endCursor }
    }
  }
`

function ask(client: AdminApiClient, signal?: AbortSignal) {
  const variables = { id: 'gid://shopify/Order/450789469' }
  return client.request(orderQuery, signal ? { variables, signal } : { variables })
}

function graphQLError(code: string, message: string): ProviderAnswer {
  return { body: { data: null, errors: [{ message, extensions: { code } }] } }
}

const subject: WireSubject<AdminApiClient> = {
  service: shopify,
  credentials,
  server: () => server,
  call: (client) => ask(client),
  refusal: (status) => ({ status, body: { errors: 'No.' } }),
  refusals: {
    // 404: there is no such shop.
    refused: [
      [401, 'http_401'],
      [403, 'http_403'],
      [404, 'http_404'],
    ],
    limited: [429, 'http_429'],
  },
  pages: { permanent: [400, 406, 422], transient: [430, 500, 502, 503, 504] },
  wordlessBodies: ['{"errors":{"query":"Required parameter"}}'],
  halfRefusal: 'what broke it off',
  form: 'GraphQL answer',
  withSignal: { call: ask, error: 'the reason' },
}

const { connect, failureOf } = onWire(subject)

wireBehaviour(subject)

describe('the client', () => {
  it('reads an order', async () => {
    const order = anOrder({
      lineItems: [
        aLineItem({ title: 'Mug', quantity: 2, originalUnitPriceSet: money('19.9') }),
        aLineItem(),
        aLineItem(),
      ],
      fulfillments: [aFulfillment({ trackingInfo: [{ company: 'UPS', number: '1Z', url: null }] })],
    })
    server.orders = [order]
    const { data } = await connect().client.request(orderQuery, { variables: { id: order.id } })
    expect(data).toEqual({
      order: {
        id: order.id,
        name: order.name,
        totalPriceSet: { shopMoney: { amount: '124.4', currencyCode: 'USD' } },
        customer: { defaultEmailAddress: { emailAddress: 'ada@example.com' } },
        lineItems: {
          nodes: [
            { title: 'Mug', quantity: 2 },
            { title: 'Mug', quantity: 2 },
          ],
          pageInfo: { hasNextPage: true, endCursor: expect.any(String) },
        },
        fulfillments: [{ status: 'SUCCESS', deliveredAt: null, trackingInfo: [{ number: '1Z' }] }],
      },
    })
    expect(server.requests[0]).toMatchObject({
      method: 'POST',
      path: '/admin/api/2026-10/graphql.json',
      headers: { 'x-shopify-access-token': credentials.access_token },
    })
  })

  it('answers null for an order that is not there', async () => {
    expect((await ask(connect().client)).data).toEqual({ order: null })
  })

  it('reads what was updated since, page by page, oldest first', async () => {
    const at = (day: number) => `2026-11-0${day}T10:00:00Z`
    server.orders = [5, 2, 4, 1, 3].map((day) => anOrder({ updatedAt: at(day) }))
    const { client } = connect()
    const seen: string[] = []
    let after: string | null = null
    do {
      const variables: object = { query: `updated_at:>='${at(2)}'`, after }
      // biome-ignore lint/suspicious/noExplicitAny: as the query above asks.
      const { data } = await client.request<any>(ordersQuery, { variables })
      seen.push(...data.orders.nodes.map(({ updatedAt }: { updatedAt: string }) => updatedAt))
      after = data.orders.pageInfo.hasNextPage ? data.orders.pageInfo.endCursor : null
    } while (after)
    expect(seen).toEqual([at(2), at(3), at(4), at(5)])
  })

  it('reads products with their variants', async () => {
    const variants = [aVariant({ price: '19.90', inventoryQuantity: 3 }), aVariant({ inventoryQuantity: -1 })]
    server.products = [aProduct({ title: 'Mug', variants })]
    const query =
      'query Products { products(first: 5) { nodes { title totalInventory variants(first: 9) { nodes { price } } } } }'
    expect((await connect().client.request(query)).data).toEqual({
      products: {
        nodes: [
          { title: 'Mug', totalInventory: 2, variants: { nodes: [{ price: '19.90' }, { price: '19.90' }] } },
        ],
      },
    })
  })

  it('says what the query has cost', async () => {
    expect((await ask(connect().client)).extensions?.cost).toEqual({
      requestedQueryCost: 10,
      actualQueryCost: 10,
      throttleStatus: { maximumAvailable: 2_000, currentlyAvailable: 1_990, restoreRate: 100 },
    })
  })

  it('asks the shop of the tenant, over https, unless it is told where Shopify is', async () => {
    const fetch = vi.fn(async () => Response.json({ data: { shop: { name: 'Shop' } } }))
    vi.stubGlobal('fetch', fetch)
    await shopify.verify(connect({ baseUrl: shopify.baseUrl }).client, credentials)
    expect(fetch.mock.calls).toMatchObject([
      ['https://shop-of-the-test.myshopify.com/admin/api/2026-10/graphql.json', { method: 'POST' }],
    ])
  })

  it('writes nothing to the console when its version of the API has become old', async () => {
    vi.useFakeTimers({ now: Date.parse('2029-01-01'), toFake: ['Date'] })
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    connect()
    vi.useRealTimers()
    expect(warn).not.toHaveBeenCalled()
  })
})

describe('verification', () => {
  it('is one cheap request', async () => {
    await shopify.verify(connect().client, credentials)
    expect(server.requests.map(({ body }) => body.query)).toEqual(['query Shop { shop { name } }'])
  })

  it('does not take a token that was revoked', async () => {
    server.keys.clear()
    expect(shopify.readError(await errorOf(shopify.verify(connect().client, credentials)))).toEqual({
      kind: 'refused',
      code: 'http_401',
      message: '[API] Invalid API key or access token (unrecognized login or wrong password)',
    })
  })
})

describe('what goes wrong', () => {
  it('is thrown, with all that Shopify says and nothing of what was asked or answered', async () => {
    server.orders = [anOrder({ id: 'gid://shopify/Order/450789469' })]
    server.scopes.delete('read_customers')
    const error = await errorOf(ask(connect().client))
    expect(error).toBeInstanceOf(ShopifyError)
    expect(error).toMatchObject({
      status: 200,
      code: 'ACCESS_DENIED',
      headers: expect.any(Headers),
      graphQLErrors: ['Access denied for customer field. Required access: `read_customers` access scope.'],
    })
    const text = JSON.stringify(error, Object.getOwnPropertyNames(error))
    for (const secret of [credentials.access_token, '450789469', 'Mug']) expect(text).not.toContain(secret)
    expect(shopify.readError(error)).toMatchObject({ kind: 'refused', code: 'ACCESS_DENIED' })
  })

  it('a field that Shopify does not have is permanent', async () => {
    const error = await errorOf(connect().client.request('query Shop { shop { nane } }'))
    expect(shopify.readError(error)).toMatchObject({
      kind: 'permanent',
      code: 'undefinedField',
      message: expect.stringContaining('"nane"'),
    })
  })

  it('so are all mistakes of a query, whatever their status', async () => {
    const errors = [{ message: 'Bad.', extensions: { code: 'MAX_COST_EXCEEDED' } }, { message: 'Worse.' }]
    for (const status of [200, 400]) {
      expect(await failureOf({ status, body: { errors } })).toEqual({
        kind: 'permanent',
        code: 'MAX_COST_EXCEEDED',
        message: 'Bad.; Worse.',
      })
    }
  })

  it.each<[string, ProviderAnswer]>([
    ['http_402', { status: 402, body: { errors: 'This shop is unavailable' } }],
    ['http_423', { status: 423, body: { errors: 'This shop is unavailable' } }],
    ['SHOP_INACTIVE', graphQLError('SHOP_INACTIVE', 'This shop is unavailable')],
  ])('a shop that is closed (%s) is asked again later', async (code, answer) => {
    expect(await failureOf(answer)).toEqual({
      kind: 'limited',
      code,
      message: 'This shop is unavailable',
      retryAfterMs: 15 * 60_000,
    })
  })

  it('a query that costs more than there is waits until there is enough', async () => {
    Object.assign(server.bucket, { currentlyAvailable: 150, restoreRate: 100 })
    server.queryCost = 700
    const error = await errorOf(ask(connect().client))
    expect(shopify.readError(error)).toEqual({
      kind: 'limited',
      code: 'THROTTLED',
      message: 'Throttled',
      retryAfterMs: 5_500,
    })
    expect(server.requests).toHaveLength(1)
  })

  it('and at least a second; 30 when Shopify does not say', async () => {
    server.bucket.currentlyAvailable = 9
    expect(shopify.readError(await errorOf(ask(connect().client)))).toMatchObject({ retryAfterMs: 1_000 })
    expect(await failureOf(graphQLError('THROTTLED', 'Throttled'))).toMatchObject({ retryAfterMs: 30_000 })
  })

  it('an internal error that comes with 200 is transient', async () => {
    expect(await failureOf(graphQLError('INTERNAL_SERVER_ERROR', 'Internal error.'))).toEqual({
      kind: 'transient',
      code: 'INTERNAL_SERVER_ERROR',
      message: 'Internal error.',
    })
  })

  it.each<[string, ProviderAnswer]>([
    ['nothing in it', { body: {} }],
    ['no errors', { body: { errors: [] } }],
    ['a page', { body: '<html>', headers: { 'content-type': 'text/html' } }],
  ])('an answer with %s is unreadable', async (_, answer) => {
    expect(await failureOf(answer)).toMatchObject({ kind: 'transient', code: 'unreadable_answer' })
  })

  it('what cannot be sent is nobody’s failure but the caller’s', async () => {
    const error = await errorOf(connect().client.request(orderQuery, { variables: { id: 7n } }))
    expect(String(error)).toContain('BigInt')
    expect(shopify.readError(error)).toBeNull()
    expect(server.requests).toHaveLength(0)
  })

  it('two requests at once do not take each other’s error', async () => {
    const { client } = connect()
    const matches = ({ body }: { body: { query: string } }) => body.query === orderQuery
    server.answerNext({ instead: 'reset' }, { matches })
    server.answerNext(graphQLError('INTERNAL_SERVER_ERROR', 'Internal error.'), {
      matches: ({ body }) => body.query === ordersQuery,
    })
    const errors = await Promise.all([errorOf(ask(client)), errorOf(client.request(ordersQuery))])
    expect(errors.map((error) => shopify.readError(error)?.code)).toEqual([
      'connection_error',
      'INTERNAL_SERVER_ERROR',
    ])
  })

  it('a closed client fetches nothing, either', async () => {
    const { client, wire } = connect()
    wire.close()
    const error = await errorOf(client.fetch('query Shop { shop { name } }'))
    expect(error).toBeInstanceOf(ServiceClientClosedError)
    expect(shopify.readError(error)).toBeNull()
    expect(server.requests).toHaveLength(0)
  })
})

describe('a webhook', () => {
  const open = (delivery: ReturnType<typeof signWebhook>, secrets: Record<string, string> = credentials) =>
    shopify.webhook?.open(delivery, secrets, 'rawdog')

  const event = webhookBody(anOrder())

  it('is opened with the secret of the tenant', async () => {
    const delivery = signWebhook(event, credentials.webhook_secret, { topic: 'orders/paid' })
    expect(await open(delivery)).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{64}$/),
      type: 'orders/paid',
      body: event,
    })
  })

  it('is the same at each delivery, whatever its unsigned ids say, and another one for each topic and body', async () => {
    const opened = async (topic: string, webhookId: string, body = event) =>
      (await open(signWebhook(body, credentials.webhook_secret, { topic, webhookId })))?.id
    const id = await opened('orders/updated', 'webhook_1')
    expect(await opened('orders/updated', 'webhook_2')).toBe(id)
    expect(await opened('orders/paid', 'webhook_1')).not.toBe(id)
    expect(
      await opened('orders/updated', 'webhook_1', { ...event, updated_at: '2026-11-25T00:00:00Z' }),
    ).not.toBe(id)
  })

  it('is not opened with another secret, without one, or changed', async () => {
    const good = signWebhook(event, credentials.webhook_secret)
    expect(await open(signWebhook(event, 'of-somebody-else'))).toBeNull()
    const { webhook_secret, ...without } = credentials
    expect(await open(good, without)).toBeNull()
    expect(await open(signWebhook(event, ''), { ...without, webhook_secret: '' })).toBeNull()
    expect(await open({ ...good, body: `${good.body} ` })).toBeNull()
  })

  it('is not opened for another shop of the same app', async () => {
    const shopDomain = 'shop-of-somebody-else.myshopify.com'
    expect(await open(signWebhook(event, credentials.webhook_secret, { shopDomain }))).toBeNull()
    const { shop_domain, ...without } = credentials
    const nowhere = signWebhook(event, credentials.webhook_secret)
    nowhere.headers.delete('x-shopify-shop-domain')
    expect(await open(nowhere, without)).toBeNull()
    expect(
      await open(signWebhook(event, credentials.webhook_secret, { shopDomain: shop_domain.toUpperCase() })),
    ).toMatchObject({ type: 'orders/updated' })
  })

  it.each(['', 'x', '%%%', 'A'.repeat(44)])('is garbage with the signature %j', async (signature) => {
    const { headers, body } = signWebhook(event, credentials.webhook_secret)
    headers.set('x-shopify-hmac-sha256', signature)
    expect(await open({ headers, body })).toBeNull()
    expect(await open({ headers: new Headers(), body })).toBeNull()
  })

  it.each(['', 'no JSON', 'null', '7'])('is signed garbage: %j', async (body) => {
    expect(await open(signWebhook(body, credentials.webhook_secret))).toBeNull()
  })

  it('has a topic', async () => {
    const delivery = signWebhook(event, credentials.webhook_secret)
    delivery.headers.delete('x-shopify-topic')
    expect(await open(delivery)).toBeNull()
  })
})

describe('a credential', () => {
  it('is a domain of Shopify’s own', () => {
    const takes = (value: string) => shopify.keys.shop_domain?.pattern?.test(value)
    expect(takes('rawdog-2.myshopify.com')).toBe(true)
    for (const value of [
      'rawdog.com',
      'https://rawdog.myshopify.com',
      'rawdog.myshopify.com/admin',
      'a.b.myshopify.com',
      'rawdog.myshopify.com.evil.test',
    ]) {
      expect(takes(value)).toBe(false)
    }
  })
})
