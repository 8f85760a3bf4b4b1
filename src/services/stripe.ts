/** Stripe: transfers to creators, top-ups, the balance. */
import Stripe from 'stripe'
import { failureOf, type ServiceFailure } from './failure.ts'
import type { Service, WebhookEvent } from './service.ts'

/** In seconds: how old a delivery may be. Stripe signs every delivery anew. */
const toleranceSeconds = 300

export const stripe: Service<Stripe> = {
  name: 'stripe',
  title: 'Stripe',
  baseUrl: 'https://api.stripe.com',
  keys: {
    secret_key: {
      required: true,
      secret: true,
      description: 'Secret or restricted API key: Stripe dashboard, Developers, API keys',
      pattern: /^(sk|rk)_\w+$/,
    },
    webhook_secret: {
      required: false,
      secret: true,
      description: 'Signing secret of the webhook: Stripe dashboard, Developers, Webhooks',
      pattern: /^whsec_\S+$/,
    },
  },

  connect({ credentials, baseUrl, timeoutMs, wire }) {
    const { protocol, hostname, port } = new URL(baseUrl)
    return new Stripe(credentials.secret_key ?? '', {
      protocol: protocol === 'http:' ? 'http' : 'https',
      host: hostname,
      ...(port && { port }),
      timeout: timeoutMs,
      maxNetworkRetries: 0,
      httpClient: Stripe.createFetchHttpClient(wire.fetch),
      telemetry: false,
    })
  },

  async verify(client) {
    await client.balance.retrieve()
  },

  readError(error): ServiceFailure | null {
    if (!(error instanceof Stripe.errors.StripeError)) return null
    return failureOf({ status: error.statusCode ?? 0, code: error.code, message: error.message })
  },

  webhook: {
    refusedStatus: 400,
    needs: ['webhook_secret'],
    async open({ headers, body }, credentials): Promise<WebhookEvent | null> {
      const signature = headers.get('stripe-signature')
      if (!signature || !credentials.webhook_secret) return null
      try {
        const event = await Stripe.webhooks.constructEventAsync(
          body,
          signature,
          credentials.webhook_secret,
          toleranceSeconds,
        )
        return { id: event.id, type: event.type, body: event }
      } catch {
        return null
      }
    },
  },
}
