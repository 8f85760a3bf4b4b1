/** The providers that send webhooks: what a tenant has of them, and what their deliveries look like. */
import { randomBytes } from 'node:crypto'
import { webhookAuthorization } from '../../src/services/assemblyai.ts'
import type { ServiceName } from '../../src/services/registry.ts'
import type { Credentials, WebhookDelivery } from '../../src/services/service.ts'
import { signWebhook as signMux } from '../fixtures/providers/mux.ts'
import { signWebhook as signResend } from '../fixtures/providers/resend.ts'
import { signWebhook as signShopify } from '../fixtures/providers/shopify.ts'
import { StripeServer } from '../fixtures/providers/stripe.ts'

export interface Sent {
  tenantId: string
  credentials: Credentials
  /** Of the event. */
  id: string
  /** What it is about; the fixture's task puts it into its payload. */
  about: string
  at?: Date
}

export interface Provider {
  service: ServiceName
  type: string
  /** What it expects a forged delivery to be answered with. */
  refusedStatus: 400 | 401
  /** Whether a signature grows too old. */
  ages: boolean
  /** Whether the body is signed; otherwise a secret header is all there is. */
  signs: boolean
  newCredentials(): Credentials
  deliver(sent: Sent): WebhookDelivery
  /** Where its events say what they are about. */
  readAbout(body: unknown): string
}

const unique = (prefix: string) => `${prefix}${randomBytes(12).toString('hex')}`
// biome-ignore lint/suspicious/noExplicitAny: bodies of providers, as they are parsed.
type Body = any

export const mux: Provider = {
  service: 'mux',
  type: 'video.asset.ready',
  refusedStatus: 400,
  ages: true,
  signs: true,
  newCredentials: () => ({ webhook_secret: unique('mux-webhook-') }),
  deliver: ({ id, about, credentials, at }) =>
    signMux({ id, type: mux.type, data: { passthrough: about } }, credentials.webhook_secret!, at),
  readAbout: (body: Body) => body.data.passthrough,
}

const stripe: Provider = {
  service: 'stripe',
  type: 'topup.succeeded',
  refusedStatus: 400,
  ages: true,
  signs: true,
  newCredentials: () => ({ secret_key: unique('sk_test_'), webhook_secret: unique('whsec_') }),
  deliver({ id, about, credentials, at }) {
    const fixture = new StripeServer()
    const body = JSON.stringify({ ...JSON.parse(fixture.event(stripe.type, { id: about })), id })
    const signature = fixture.signWebhook(body, credentials.webhook_secret!, at)
    return { headers: new Headers({ 'stripe-signature': signature }), body }
  },
  readAbout: (body: Body) => body.data.object.id,
}

const resend: Provider = {
  service: 'resend',
  type: 'email.bounced',
  refusedStatus: 400,
  ages: true,
  signs: true,
  newCredentials: () => ({ webhook_secret: `whsec_${randomBytes(24).toString('base64')}` }),
  deliver: ({ id, about, credentials, at = new Date() }) =>
    signResend({ type: resend.type, data: { email_id: about } }, credentials.webhook_secret!, { at, id }),
  readAbout: (body: Body) => body.data.email_id,
}

const assemblyai: Provider = {
  service: 'assemblyai',
  type: 'transcript.completed',
  refusedStatus: 401,
  ages: false,
  signs: false,
  newCredentials: () => ({ api_key: unique('assemblyai-') }),
  // A transcript is the event: there is one of each status.
  deliver({ id, credentials, tenantId }) {
    const { name, value } = webhookAuthorization(credentials.api_key!, tenantId)
    const body = JSON.stringify({ transcript_id: id, status: 'completed' })
    return { headers: new Headers({ [name]: value }), body }
  },
  readAbout: (body: Body) => body.transcript_id,
}

const shopify: Provider = {
  service: 'shopify',
  type: 'orders/updated',
  refusedStatus: 401,
  ages: false,
  signs: true,
  newCredentials: () => ({
    shop_domain: `${unique('shop-')}.myshopify.com`,
    access_token: unique('shpat_'),
    webhook_secret: unique('shpss_'),
  }),
  deliver: ({ id, about, credentials }) =>
    signShopify({ id: 820982911946154500, name: about }, credentials.webhook_secret!, {
      shopDomain: credentials.shop_domain!,
      webhookId: id,
    }),
  readAbout: (body: Body) => body.name,
}

export const providers: readonly Provider[] = [stripe, mux, assemblyai, shopify, resend]
