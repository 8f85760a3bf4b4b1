/** Resend: email, sent from the tenant's own domain. */
import { Resend } from 'resend'
import { failureOf, retryAfterMs } from './failure.ts'
import { ResendClient, ResendError } from './resend-client.ts'
import type { Service } from './service.ts'

export { ResendError }

const baseUrl = 'https://api.resend.com'

/** Checks signatures; never on the network, so the key is none. */
const { webhooks } = new Resend('re_none', { baseUrl })

export const resend: Service<ResendClient> = {
  name: 'resend',
  title: 'Resend',
  baseUrl,
  keys: {
    api_key: {
      required: true,
      secret: true,
      description: 'API key: Resend dashboard, API Keys (sending access is enough to send)',
      pattern: /^re_\S+$/,
    },
    from_address: {
      required: true,
      secret: false,
      description:
        'Whom emails come from, at a domain verified in Resend: shop@example.com or Shop <shop@example.com>',
      pattern: /^([^<>@]*<[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+)$/,
    },
    webhook_secret: {
      required: false,
      secret: true,
      description: 'Signing secret of the webhook: Resend dashboard, Webhooks',
      pattern: /^whsec_[A-Za-z0-9+/]+=*$/,
    },
  },

  connect({ credentials, baseUrl, wire }) {
    return new ResendClient({
      apiKey: credentials.api_key ?? '',
      fromAddress: credentials.from_address ?? '',
      baseUrl,
      wire,
    })
  },

  /** A key that may only send is told so instead of the domains: that, too, says that Resend takes it. */
  async verify(client) {
    try {
      await client.domains.list({ limit: 1 })
    } catch (error) {
      if (!(error instanceof ResendError && error.code === 'restricted_api_key')) throw error
    }
  },

  readError(error) {
    if (!(error instanceof ResendError)) return null
    const { status, code, message, headers } = error
    if (code === 'invalid_parameter') return { kind: 'permanent', code, message }
    if (status === null) return { kind: 'transient', code: code ?? 'connection_error', message }
    if (isKeyRefused(error)) return { kind: 'refused', code: code ?? `http_${status}`, message }
    if (code && permanentCodes.has(code)) return { kind: 'permanent', code, message }
    if (code && quotaCodes.has(code)) {
      return { kind: 'limited', code, message, retryAfterMs: Math.max(quotaWaitMs, retryAfterMs(headers)) }
    }
    return failureOf({ status, code, message, headers })
  },

  webhook: {
    refusedStatus: 400,
    needs: ['webhook_secret'],
    async open({ headers, body }, credentials) {
      try {
        const id = headers.get('svix-id') ?? ''
        const event = webhooks.verify({
          payload: body,
          headers: {
            id,
            timestamp: headers.get('svix-timestamp') ?? '',
            signature: headers.get('svix-signature') ?? '',
          },
          webhookSecret: credentials.webhook_secret ?? '',
        })
        return typeof event.type === 'string' ? { id, type: event.type, body: event } : null
      } catch {
        return null
      }
    },
  },
}

/** But for sending, Resend calls an unknown key a mistake in the request, and only the text tells what is wrong. */
function isKeyRefused({ code, message }: ResendError): boolean {
  if (code === 'missing_api_key' || code === 'invalid_api_key') return true
  return code === 'validation_error' && /^API key is invalid/i.test(message)
}

/**
 * By their status, others could be taken for a refused key, or for what may succeed later. `restricted_api_key`: the key is
 * good, and what it is for, sending, must go on; only this call needs one with full access.
 */
const permanentCodes: ReadonlySet<string> = new Set([
  'validation_error',
  'restricted_api_key',
  'invalid_idempotent_request',
])

/**
 * A day's or a month's emails are used up. Waiting helps, and so does a larger plan, at any moment: so the tenant's runs
 * try again now and then, instead of waiting for a midnight that Resend does not name.
 */
const quotaCodes: ReadonlySet<string> = new Set(['daily_quota_exceeded', 'monthly_quota_exceeded'])

const quotaWaitMs = 3_600_000
