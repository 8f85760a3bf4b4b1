/** Wise: payouts abroad, from the tenant's own balances. */
import { failureOf } from './failure.ts'
import type { Service } from './service.ts'
import { WiseClient, WiseError } from './wise-client.ts'

export const wise: Service<WiseClient> = {
  name: 'wise',
  title: 'Wise',
  baseUrl: 'https://api.wise.com',
  keys: {
    api_token: {
      required: true,
      secret: true,
      description: 'API token with full access: Wise, Settings, API tokens',
    },
    profile_id: {
      required: true,
      secret: false,
      description: 'Number of the business profile whose balances pay',
      pattern: /^\d+$/,
    },
  },

  connect({ credentials, baseUrl, wire }) {
    return new WiseClient({
      apiToken: credentials.api_token ?? '',
      profileId: credentials.profile_id ?? '',
      baseUrl,
      fetch: wire.fetch,
    })
  },

  async verify(client) {
    await client.profile()
  },

  readError(error) {
    if (!(error instanceof WiseError)) return null
    const { status, code, message, headers } = error
    if (status === null) return { kind: 'transient', code: code ?? 'connection_error', message }
    return failureOf({ status, code, message, headers })
  },
}
