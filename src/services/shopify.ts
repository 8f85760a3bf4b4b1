/** Shopify: the tenant's shop, its orders and products, by the GraphQL Admin API. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { AdminApiClient } from '@shopify/admin-api-client'
import { failureOf, retryAfterMs } from './failure.ts'
import type { Service } from './service.ts'
import { createShopifyClient, ShopifyError } from './shopify-client.ts'

export { ShopifyError }

export const shopify: Service<AdminApiClient> = {
  name: 'shopify',
  title: 'Shopify',
  // Every shop is its own host: the tenant's shop_domain is put in.
  baseUrl: 'https://{shop_domain}',
  keys: {
    shop_domain: {
      required: true,
      secret: false,
      description: "The shop's own domain at Shopify, not the one that customers see: example.myshopify.com",
      pattern: /^[a-z0-9][a-z0-9-]*\.myshopify\.com$/i,
    },
    access_token: {
      required: true,
      secret: true,
      description: 'Admin API access token of the app that is installed in the shop; it starts with shpat_',
      pattern: /^\S+$/,
    },
    webhook_secret: {
      required: false,
      secret: true,
      description: 'API secret key (client secret) of that app: Shopify signs its webhooks with it',
      pattern: /^\S+$/,
    },
  },

  connect({ credentials, baseUrl, wire }) {
    const shopDomain = credentials.shop_domain ?? ''
    return createShopifyClient({
      shopDomain,
      accessToken: credentials.access_token ?? '',
      baseUrl: baseUrl.replace('{shop_domain}', shopDomain),
      wire,
    })
  },

  async verify(client) {
    await client.request('query Shop { shop { name } }')
  },

  readError(error) {
    if (!(error instanceof ShopifyError)) return null
    const { status, message, headers, throttledMs } = error
    if (status === null) return { kind: 'transient', code: error.code ?? 'connection_error', message }
    const code = error.code ?? `http_${status}`
    if (code === 'THROTTLED') {
      return { kind: 'limited', code, message, retryAfterMs: throttledMs ?? retryAfterMs(headers) }
    }
    // A scope that the token lacks only another token has; and where there is no shop, its domain is wrong.
    if (code === 'ACCESS_DENIED' || status === 404) return { kind: 'refused', code, message }
    if (code === 'SHOP_INACTIVE' || status === 402 || status === 423) {
      return { kind: 'limited', code, message, retryAfterMs: closedShopWaitMs }
    }
    // 430: it looked like an attack, which the next one may not.
    if (code === 'INTERNAL_SERVER_ERROR' || status === 430) return { kind: 'transient', code, message }
    return failureOf({ status, code, message, headers })
  },

  webhook: {
    refusedStatus: 401,
    needs: ['webhook_secret', 'shop_domain'],
    async open({ headers, body }, credentials) {
      const { webhook_secret: secret, shop_domain: shop } = credentials
      if (!secret || !shop || !isSigned(headers, body, secret)) return null
      // The app's secret is the same for all its shops.
      if (headers.get('x-shopify-shop-domain')?.toLowerCase() !== shop.toLowerCase()) return null
      const type = headers.get('x-shopify-topic')
      const event = parse(body)
      return type && event ? { id: eventId(type, body), type, body: event } : null
    },
  },
}

/** Frozen until its owner pays, or locked by Shopify: the same call succeeds when it is open again, so the runs wait. */
const closedShopWaitMs = 15 * 60_000

/**
 * Shopify signs the body alone. Its own ids are in headers, so whoever has caught a delivery could send it again under
 * another one; of the body and its topic a repeat is always the same, and two events never are.
 */
function eventId(topic: string, body: string): string {
  return createHash('sha256').update(`${topic}\n${body}`).digest('hex')
}

function isSigned(headers: Headers, body: string, secret: string): boolean {
  const given = Buffer.from(headers.get('x-shopify-hmac-sha256') ?? '', 'base64')
  const right = createHmac('sha256', secret).update(body).digest()
  return given.length === right.length && timingSafeEqual(given, right)
}

function parse(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}
