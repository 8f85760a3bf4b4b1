/** Wise: payouts abroad, paid from the tenant's own balances there. */
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
      pattern: /^\S+$/,
    },
    profile_id: {
      required: true,
      secret: false,
      description: 'Id of the profile whose balances pay: the `id` that GET /v2/profiles answers',
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

  /** The profile alone would not do: that it is there says nothing of its balances. */
  async verify(client) {
    await client.balances()
  },

  readError(error) {
    if (!(error instanceof WiseError)) return null
    const { status, code, message, headers } = error
    if (status === null) return { kind: 'transient', code: code ?? 'connection_error', message }
    if (status === 403 && headers?.has('x-2fa-approval')) {
      return { kind: 'permanent', code: 'sca_required', message: scaRequired }
    }
    return failureOf({ status, code, message, headers })
  },
}

/** No fault of the token: with another one it would be the same. */
const scaRequired =
  'Wise wants its owner to approve this (strong customer authentication), which an API token cannot: pay the transfer at wise.com, or ask Wise to let the account pay by API.'
