import { randomBytes } from 'node:crypto'
import { createApiKey } from '../../../../src/auth/index.ts'
import { kit } from '../kit.ts'
import { account, password } from '../people.ts'
import type { Denial, OpenRoute, Stage } from './denial.ts'

const newEmail = () => `${randomBytes(6).toString('hex')}@x.test`
const newMember = async ({ own }: Stage) =>
  (await account({ membership: { tenantId: own, role: 'member' } })).id
const newKey = async (tenantId: string | null) => {
  const { auth } = await kit.platform.ready()
  return (await createApiKey(auth, { tenantId, name: 'denied', scopes: ['runs:read'] }, null)).id
}

/** About everybody, and so an operator's. */
const operators = (route: Denial['route'], ask: Denial['ask']): Denial => ({
  route,
  permission: 'people:write',
  ask,
  neighbour: 403,
  everywhere: true,
})

const ofTenant = (route: Denial['route'], ask: Denial['ask']): Denial => ({
  route,
  permission: 'people:write',
  ask,
  neighbour: 404,
})

export const peopleDenials: readonly (Denial | OpenRoute)[] = [
  operators('GET /users', () => ({ path: '/users' })),
  operators('POST /users', () => ({ path: '/users', body: { email: newEmail(), password } })),
  operators('POST /users/{userId}/disable', async (stage) => ({
    path: `/users/${await newMember(stage)}/disable`,
  })),
  operators('POST /users/{userId}/confirm', async (stage) => ({
    path: `/users/${await newMember(stage)}/confirm`,
  })),
  operators('POST /users/{userId}/enable', async (stage) => ({
    path: `/users/${await newMember(stage)}/enable`,
  })),
  operators('PUT /users/{userId}/password', async (stage) => ({
    path: `/users/${await newMember(stage)}/password`,
    body: { password },
  })),
  ofTenant('GET /tenants/{tenantId}/members', ({ own }) => ({ path: `/tenants/${own}/members` })),
  ofTenant('POST /tenants/{tenantId}/members', async ({ own }) => ({
    path: `/tenants/${own}/members`,
    body: { userId: (await account()).id, role: 'member' },
  })),
  ofTenant('PATCH /tenants/{tenantId}/members/{userId}', async (stage) => ({
    path: `/tenants/${stage.own}/members/${await newMember(stage)}`,
    body: { role: 'admin' },
  })),
  ofTenant('DELETE /tenants/{tenantId}/members/{userId}', async (stage) => ({
    path: `/tenants/${stage.own}/members/${await newMember(stage)}`,
  })),
  ofTenant('GET /tenants/{tenantId}/keys', ({ own }) => ({ path: `/tenants/${own}/keys` })),
  ofTenant('POST /tenants/{tenantId}/keys', ({ own }) => ({
    path: `/tenants/${own}/keys`,
    body: { name: 'deploy', scopes: ['runs:read'] },
  })),
  ofTenant('DELETE /tenants/{tenantId}/keys/{keyId}', async ({ own }) => ({
    path: `/tenants/${own}/keys/${await newKey(own)}`,
  })),
  operators('GET /keys', () => ({ path: '/keys' })),
  operators('POST /keys', () => ({ path: '/keys', body: { name: 'deploy', scopes: ['runs:read'] } })),
  operators('DELETE /keys/{keyId}', async () => ({ path: `/keys/${await newKey(null)}` })),
  ofTenant('GET /tenants/{tenantId}/invitations', ({ own }) => ({ path: `/tenants/${own}/invitations` })),
  ofTenant('POST /tenants/{tenantId}/invitations', ({ own }) => ({
    path: `/tenants/${own}/invitations`,
    body: { email: newEmail(), role: 'member' },
  })),
  ofTenant('DELETE /tenants/{tenantId}/invitations/{invitationId}', ({ own }) => ({
    path: `/tenants/${own}/invitations/00000000-0000-4000-8000-000000000000`,
  })),
  { route: 'POST /invitations/accept', open: 'The token is all that is needed' },
]
