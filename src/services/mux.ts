/** Mux: video. Assets are made from a URL or an upload, and tell by webhook when they are ready. */
import Mux from '@mux/mux-node'
import { failureOf, type ServiceFailure } from './failure.ts'
import type { Service, WebhookEvent } from './service.ts'

export const mux: Service<Mux> = {
  name: 'mux',
  title: 'Mux',
  baseUrl: 'https://api.mux.com',
  keys: {
    token_id: {
      required: true,
      secret: false,
      description: 'Access token ID: Mux dashboard, Settings, Access Tokens',
    },
    token_secret: {
      required: true,
      secret: true,
      description: 'Secret key of that access token, shown once when it is made',
    },
    webhook_secret: {
      required: false,
      secret: true,
      description: 'Signing secret of the webhook: Mux dashboard, Settings, Webhooks',
    },
  },

  connect({ credentials, baseUrl, timeoutMs, wire }) {
    return new Mux({
      tokenId: credentials.token_id ?? null,
      tokenSecret: credentials.token_secret ?? null,
      webhookSecret: credentials.webhook_secret ?? null,
      authorizationToken: null,
      jwtSigningKey: null,
      jwtPrivateKey: null,
      baseURL: baseUrl,
      timeout: timeoutMs,
      maxRetries: 0,
      fetch: wire.fetch,
      logLevel: 'off',
    })
  },

  async verify(client) {
    await client.video.assets.list({ limit: 1 })
  },

  readError(error) {
    if (error instanceof Mux.APIUserAbortError) return null
    if (error instanceof Mux.APIConnectionError) {
      return { kind: 'transient', code: 'connection_error', message: 'Mux could not be reached.' }
    }
    if (error instanceof Mux.APIError) return readAnswer(error)
    return null
  },

  webhook: {
    refusedStatus: 400,
    needs: ['webhook_secret'],
    async open({ headers, body }, credentials): Promise<WebhookEvent | null> {
      const verifier = new Mux({ tokenId: null, tokenSecret: null, webhookSecret: null })
      try {
        const event = await verifier.webhooks.unwrap(body, headers, credentials.webhook_secret)
        return { id: event.id, type: event.type, body: event }
      } catch {
        return null
      }
    },
  },
}

function readAnswer({ status, headers, error }: InstanceType<typeof Mux.APIError>): ServiceFailure {
  const { type, messages } = (error as { error?: { type?: string; messages?: string[] } })?.error ?? {}
  return failureOf({
    status: status ?? 0,
    code: type,
    message: messages?.join('; ') || `Mux answered ${status}.`,
    headers,
  })
}
