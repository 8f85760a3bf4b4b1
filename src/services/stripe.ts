/** Stripe: transfers to the accounts of creators, top-ups of the tenant's balance. */
import Stripe from 'stripe'
import { failureOf, type ServiceFailure } from './failure.ts'
import type { Service } from './service.ts'
import { readSilence, type Silence, timeout, unreadableAnswer } from './silence.ts'
import type { Wire } from './wire.ts'

/** How old a delivery may be. Stripe signs each attempt anew, so a late one is not refused. */
const webhookToleranceSeconds = 300

export const stripe: Service<Stripe> = {
  name: 'stripe',
  title: 'Stripe',
  baseUrl: 'https://api.stripe.com',
  keys: {
    secret_key: {
      required: true,
      secret: true,
      description:
        'Secret key, or a restricted key that may read the balance and write transfers and top-ups: Stripe dashboard, Developers, API keys',
      pattern: /^[rs]k_(test|live)_\w+$/,
    },
    webhook_secret: {
      required: false,
      secret: true,
      description: 'Signing secret of the webhook: Stripe dashboard, Developers, Webhooks',
      pattern: /^whsec_\S+$/,
    },
  },

  connect({ credentials, baseUrl, timeoutMs, wire }) {
    const { protocol, hostname, port, pathname } = new URL(baseUrl)
    return new Stripe(credentials.secret_key ?? '', {
      protocol: protocol === 'http:' ? 'http' : 'https',
      host: hostname,
      ...(port && { port }),
      timeout: timeoutMs,
      maxNetworkRetries: 0,
      httpClient: Stripe.createFetchHttpClient(fetchThrough(wire, pathname)),
      telemetry: false,
    })
  },

  async verify(client) {
    await client.balance.retrieve()
  },

  readError(error) {
    if (!(error instanceof Stripe.errors.StripeError)) return null
    if (error instanceof Stripe.errors.StripeConnectionError) return readConnectionError(error)
    if (error.statusCode !== undefined) return readAnswer(error, error.statusCode)
    // The one error without a status that is about an answer; the others never left the process.
    if (!(error instanceof Stripe.errors.StripeAPIError)) return null
    return unreadableAnswer('Stripe')
  },

  webhook: {
    refusedStatus: 400,
    needs: ['webhook_secret'],
    async open({ headers, body }, credentials) {
      const signature = headers.get('stripe-signature') ?? ''
      const secret = credentials.webhook_secret ?? ''
      try {
        const { webhooks } = Stripe
        const event = await webhooks.constructEventAsync(body, signature, secret, webhookToleranceSeconds)
        const { id, type } = event
        return typeof id === 'string' && typeof type === 'string' ? { id, type, body: event } : null
      } catch {
        return null
      }
    },
  },
}

/**
 * The SDK goes by the body alone: JSON without an `error` is a success to it whatever the status, and a refusal without
 * JSON has no status any more. Stripe's own answers are well formed; those of a proxy in between need not be. And
 * it knows hosts, not the path below which a proxy may serve Stripe.
 */
function fetchThrough(wire: Wire, basePath: string): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input))
    url.pathname = basePath.replace(/\/$/, '') + url.pathname
    const response = await wire.fetch(url, init)
    if (response.status < 400) return response
    const { status, headers } = response
    const text = await response.text()
    const refusal = { error: { type: 'api_error', message: `Stripe answered ${status}.` } }
    return new Response(hasError(text) ? text : JSON.stringify(refusal), { status, headers })
  }
}

function hasError(text: string): boolean {
  try {
    return Boolean(JSON.parse(text)?.error)
  } catch {
    return false
  }
}

/**
 * The SDK keeps what ended the request as `detail`, and behind one more error of its own when it came while the answer
 * was read. Its own timeout is one of a code.
 */
function readConnectionError({
  detail,
}: InstanceType<typeof Stripe.errors.StripeConnectionError>): Silence | null {
  const cause: unknown = detail instanceof Error && 'exception' in detail ? detail.exception : detail
  const { code } = cause as { code?: unknown }
  return code === 'ETIMEDOUT' ? timeout('Stripe') : readSilence(cause, 'Stripe')
}

/** The status that says what is meant, for codes that come with one that others share. */
const meantStatus = new Map([
  // 403: no fault of the key, but of the account that the call is about.
  ['account_invalid', 404],
  // 429: another request has the object. Says nothing of how many requests there are.
  ['lock_timeout', 409],
  ['idempotency_key_in_use', 409],
  // 400 for some.
  ['rate_limit', 429],
])

function readAnswer(error: InstanceType<typeof Stripe.errors.StripeError>, status: number): ServiceFailure {
  const { decline_code, code, rawType, message, headers } = error
  const answer = {
    code: decline_code || code || (rawType === 'idempotency_error' ? rawType : undefined),
    message: message || `Stripe answered ${status}.`,
    headers,
  }
  // A service that Stripe itself depends on has failed.
  if (status === 424) return { kind: 'transient', ...answer, code: answer.code ?? 'http_424' }
  return failureOf({ ...answer, status: meantStatus.get(code ?? '') ?? status })
}
