/** Mux: video. An asset is made from a URL, and a webhook tells when it is ready. */
import Mux from '@mux/mux-node'
import { rememberSecret } from '../redact.ts'
import { failureOf, type ServiceFailure } from './failure.ts'
import type { Service } from './service.ts'
import { fetchThrough, readConnectionError } from './stainless.ts'

const baseUrl = 'https://api.mux.com'

/** Said outright: what is left out, the SDK takes from the environment of the process, which is no tenant's. */
const nothing = {
  tokenId: null,
  tokenSecret: null,
  webhookSecret: null,
  authorizationToken: null,
  jwtSigningKey: null,
  jwtPrivateKey: null,
  logLevel: 'off',
} as const

/** Checks signatures; never on the network. */
const { webhooks } = new Mux({ ...nothing, baseURL: baseUrl })

export const mux: Service<Mux> = {
  name: 'mux',
  title: 'Mux',
  baseUrl,
  keys: {
    token_id: {
      required: true,
      secret: false,
      description: 'Access token ID: Mux dashboard, Settings, Access Tokens (with Mux Video, read and write)',
    },
    token_secret: {
      required: true,
      secret: true,
      description: 'Secret key of that access token; Mux shows it once, when the token is made',
    },
    webhook_secret: {
      required: false,
      secret: true,
      description: 'Signing secret of the webhook: Mux dashboard, Settings, Webhooks',
    },
  },

  connect({ credentials, baseUrl, timeoutMs, wire }) {
    // As it travels.
    rememberSecret(Buffer.from(`${credentials.token_id}:${credentials.token_secret}`).toString('base64'))
    const client = new Mux({
      ...nothing,
      tokenId: credentials.token_id ?? null,
      tokenSecret: credentials.token_secret ?? null,
      webhookSecret: credentials.webhook_secret ?? null,
      baseURL: baseUrl,
      timeout: timeoutMs,
      maxRetries: 0,
      fetch: fetchThrough(wire, connectionErrors),
    })
    // MUX_CUSTOM_HEADERS is the one variable that no option keeps out. An Authorization in it would replace the tenant's.
    Reflect.get(client, '_options').defaultHeaders = undefined
    return client
  },

  async verify(client) {
    await client.video.assets.list({ limit: 1 })
  },

  readError(error) {
    if (!(error instanceof Mux.APIError) || error instanceof Mux.APIUserAbortError) return null
    if (error instanceof Mux.APIConnectionError) return readConnectionError(error, 'Mux', connectionErrors)
    return readAnswer(error)
  },

  webhook: {
    refusedStatus: 400,
    needs: ['webhook_secret'],
    async open({ headers, body }, credentials) {
      try {
        const event = await webhooks.unwrap(body, headers, credentials.webhook_secret)
        const { id, type } = event
        return typeof id === 'string' && typeof type === 'string' ? { id, type, body: event } : null
      } catch {
        return null
      }
    },
  },
}

const connectionErrors = { failed: Mux.APIConnectionError, timedOut: Mux.APIConnectionTimeoutError }

/** `{ error: { type: 'invalid_parameters', messages: ['...'] } }` */
function readAnswer({ status, headers, error }: InstanceType<typeof Mux.APIError>): ServiceFailure {
  const { type, messages } = (error as { error?: { type?: string; messages?: string[] } })?.error ?? {}
  const message = Array.isArray(messages) ? messages.join('; ') : ''
  return failureOf({
    status: status ?? 500,
    code: type,
    message: message || `Mux answered ${status}.`,
    headers,
  })
}
