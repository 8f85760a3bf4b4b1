/** Anthropic: Claude, which reads transcripts and writes titles and summaries. */
import Anthropic from '@anthropic-ai/sdk'
import { JobsError } from '../errors.ts'
import { failureOf, type ServiceFailure } from './failure.ts'
import type { Service } from './service.ts'
import type { Wire } from './wire.ts'

export const anthropic: Service<Anthropic> = {
  name: 'anthropic',
  title: 'Anthropic',
  baseUrl: 'https://api.anthropic.com',
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
      fetch: fetchThrough(wire),
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
    if (error instanceof Anthropic.APIConnectionError) return readSilence(error)
    return readAnswer(error)
  },
}

/**
 * The SDK takes an error for a timeout when its text, or its cause's, sounds like one, and forgets it; and what breaks
 * while an answer is read it throws bare, so that nobody can tell whose error it is. Two layers of its own class keep
 * both. What it aborted itself it knows best.
 */
function fetchThrough(wire: Wire): typeof fetch {
  return async (input, init) => {
    try {
      const response = await wire.fetch(input, init)
      const json = response.json.bind(response)
      return Object.assign(response, {
        json: () => json().catch((error) => Promise.reject(connectionError(error))),
      })
    } catch (error) {
      throw init?.signal?.aborted ? error : connectionError(error)
    }
  }
}

function connectionError(error: unknown): InstanceType<typeof Anthropic.APIConnectionError> {
  const cause = error instanceof Error ? error : new Error(String(error))
  return new Anthropic.APIConnectionError({ cause: new Anthropic.APIConnectionError({ cause }) })
}

/** No answer, or none that can be read; null when it was the platform or the task that ended the request. */
function readSilence(error: InstanceType<typeof Anthropic.APIConnectionError>): ServiceFailure | null {
  let cause: unknown = error
  while (cause instanceof Anthropic.APIConnectionError && cause.cause) cause = cause.cause
  if (cause instanceof JobsError) return null
  const { name } = cause as Error
  if (name === 'AbortError') return null
  if (name === 'TimeoutError' || cause instanceof Anthropic.APIConnectionTimeoutError) {
    return { kind: 'transient', code: 'timeout', message: 'Anthropic did not answer in time.' }
  }
  if (name === 'SyntaxError') {
    return {
      kind: 'transient',
      code: 'unreadable_answer',
      message: 'Anthropic answered with what is no JSON.',
    }
  }
  return { kind: 'transient', code: 'connection_error', message: 'The connection to Anthropic failed.' }
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
