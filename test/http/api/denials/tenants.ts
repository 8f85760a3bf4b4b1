import { randomBytes } from 'node:crypto'
import type { Denial } from './denial.ts'

const newSlug = () => `denied_${randomBytes(6).toString('hex')}`

export const tenantDenials: readonly Denial[] = [
  {
    route: 'GET /holds',
    permission: 'runs:read',
    ask: () => ({ path: '/holds' }),
    neighbour: 'nothing',
  },
  {
    route: 'GET /tenants',
    permission: 'runs:read',
    ask: () => ({ path: '/tenants?limit=1000' }),
    neighbour: 'nothing',
  },
  {
    route: 'POST /tenants',
    permission: 'tenants:write',
    ask: () => ({ path: '/tenants', body: { slug: newSlug() } }),
    neighbour: 403,
  },
  {
    route: 'GET /tenants/{tenantId}',
    permission: 'runs:read',
    ask: ({ own }) => ({ path: `/tenants/${own}` }),
    neighbour: 404,
  },
  {
    route: 'PATCH /tenants/{tenantId}',
    permission: 'tenants:write',
    ask: ({ own }) => ({ path: `/tenants/${own}`, body: { name: 'Another' } }),
    neighbour: 404,
  },
  {
    route: 'POST /tenants/{tenantId}/suspend',
    permission: 'tenants:write',
    ask: ({ own }) => ({ path: `/tenants/${own}/suspend`, body: { reason: 'Because' } }),
    neighbour: 404,
  },
  {
    route: 'POST /tenants/{tenantId}/resume',
    permission: 'tenants:write',
    ask: ({ own }) => ({ path: `/tenants/${own}/resume` }),
    neighbour: 404,
  },
  {
    route: 'DELETE /tenants/{tenantId}',
    permission: 'tenants:write',
    ask: ({ own }) => ({ path: `/tenants/${own}?force=true`, body: { reason: 'Because' } }),
    neighbour: 404,
  },
]
