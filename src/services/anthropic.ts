/** Anthropic: Claude, for summaries and titles. */
import Anthropic from '@anthropic-ai/sdk'
import { failureOf } from './failure.ts'
import type { Service } from './service.ts'

export const anthropic: Service<Anthropic> = {
  name: 'anthropic',
  title: 'Anthropic',
  baseUrl: 'https://api.anthropic.com',
  keys: {
    api_key: {
      required: true,
      secret: true,
      description: 'API key: Claude Console, Settings, API keys',
      pattern: /^sk-ant-\S+$/,
    },
  },

  connect({ credentials, baseUrl, timeoutMs, wire }) {
    return new Anthropic({
      apiKey: credentials.api_key ?? null,
      authToken: null,
      webhookKey: null,
      baseURL: baseUrl,
      timeout: timeoutMs,
      maxRetries: 0,
      fetch: wire.fetch,
      logLevel: 'off',
    })
  },

  async verify(client) {
    await client.models.list({ limit: 1 })
  },

  readError(error) {
    if (error instanceof Anthropic.APIUserAbortError) return null
    if (error instanceof Anthropic.APIConnectionError) {
      return { kind: 'transient', code: 'connection_error', message: 'Anthropic could not be reached.' }
    }
    if (error instanceof Anthropic.APIError) {
      return failureOf({
        status: error.status ?? 0,
        code: error.errorCode ?? error.type,
        message: error.apiMessage ?? `Anthropic answered ${error.status}.`,
        headers: error.headers,
      })
    }
    return null
  },
}
