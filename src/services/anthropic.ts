/** Anthropic: Claude, which reads transcripts and writes titles and summaries. */
import Anthropic from '@anthropic-ai/sdk'
import { failureOf, type ServiceFailure } from './failure.ts'
import type { Service } from './service.ts'
import { fetchThrough, readConnectionError } from './stainless.ts'

export const anthropic: Service<Anthropic> = {
  name: 'anthropic',
  title: 'Anthropic',
  baseUrl: 'https://api.anthropic.com',
  // An answer is written word by word, and one that is cut off is paid for all the same.
  timeoutMs: 300_000,
  keys: {
    api_key: {
      required: true,
      secret: true,
      description: 'API key: Claude Console, API keys',
      pattern: /^sk-ant-\S+$/,
    },
  },

  connect({ credentials, baseUrl, timeoutMs, wire }) {
    const client = new Anthropic({
      apiKey: credentials.api_key ?? null,
      baseURL: baseUrl,
      timeout: timeoutMs,
      maxRetries: 0,
      fetch: fetchThrough(wire, connectionErrors),
      // Said outright: what is left out, the SDK takes from the environment of the process, which is no tenant's.
      authToken: null,
      webhookKey: null,
      openTelemetry: {},
      logLevel: 'off',
    })
    // ANTHROPIC_CUSTOM_HEADERS is the one variable that no option keeps out. A key in it would replace the tenant's.
    Reflect.get(client, '_options').defaultHeaders = undefined
    return client
  },

  async verify(client) {
    await client.models.list({ limit: 1 })
  },

  readError(error) {
    if (!(error instanceof Anthropic.APIError) || error instanceof Anthropic.APIUserAbortError) return null
    if (error instanceof Anthropic.APIConnectionError)
      return readConnectionError(error, 'Anthropic', connectionErrors)
    return readAnswer(error)
  },
}

const connectionErrors = {
  failed: Anthropic.APIConnectionError,
  timedOut: Anthropic.APIConnectionTimeoutError,
}

function readAnswer(error: InstanceType<typeof Anthropic.APIError>): ServiceFailure {
  // A stream that breaks off says what is wrong, but its status was 200.
  const status = error.status ?? statuses[error.type ?? 'api_error'] ?? 400
  const code = error.errorCode ?? error.type
  const message = error.apiMessage ?? `Anthropic answered ${status}.`
  if (status < 500 && isUnpaid(code, status, message)) {
    return { kind: 'limited', code: code ?? 'billing_error', message, retryAfterMs: unpaidWaitMs }
  }
  if (code === 'organization_on_hold') return { kind: 'refused', code, message }
  return failureOf({ status, code, message, headers: error.headers })
}

const statuses: Partial<Record<NonNullable<InstanceType<typeof Anthropic.APIError>['type']>, number>> = {
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  conflict_error: 409,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
}

/**
 * The account is out of credit, or at a spend limit: neither the key nor the call is wrong, and when somebody has paid
 * the same call succeeds. So the tenant's runs wait and try again now and then, instead of failing by the hundred.
 */
function isUnpaid(code: string | null, status: number, message: string): boolean {
  if (status === 402 || code === 'billing_error' || code?.endsWith('spend_limit_reached')) return true
  // An invalid_request_error like any other, but for its text.
  return status === 400 && /credit balance is too low|reached your specified API usage limits/i.test(message)
}

const unpaidWaitMs = 15 * 60_000
