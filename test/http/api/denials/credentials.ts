import { setCredential } from '@cgk-platform/jobs'
import type { Denial } from './denial.ts'

const values = { token_id: 'the-token-id', token_secret: 'the-token-secret' }

export const credentialDenials: readonly Denial[] = [
  {
    route: 'GET /tenants/{tenantId}/credentials',
    permission: 'credentials:read',
    ask: ({ own }) => ({ path: `/tenants/${own}/credentials` }),
    neighbour: 404,
  },
  {
    route: 'PUT /tenants/{tenantId}/credentials/{service}',
    permission: 'credentials:write',
    ask: ({ own }) => ({ path: `/tenants/${own}/credentials/mux`, body: values }),
    neighbour: 404,
  },
  {
    route: 'POST /tenants/{tenantId}/credentials/{service}/verify',
    permission: 'credentials:write',
    ask: async ({ own }) => {
      await setCredential(own, 'mux', values)
      return { path: `/tenants/${own}/credentials/mux/verify` }
    },
    neighbour: 404,
  },
  {
    route: 'DELETE /tenants/{tenantId}/credentials/{service}/{key}',
    permission: 'credentials:write',
    ask: ({ own }) => ({ path: `/tenants/${own}/credentials/mux/token_secret` }),
    neighbour: 404,
  },
]
