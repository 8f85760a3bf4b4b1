import type { Denial, OpenRoute } from './denial.ts'

const ownSession = 'It ends or shows the sessions of whoever asks, and a key has none: session.test.ts'

export const sessionDenials: readonly (Denial | OpenRoute)[] = [
  { route: 'POST /session', open: 'Whoever signs in is nobody before' },
  { route: 'GET /session', permission: null, ask: () => ({ path: '/session' }), neighbour: 'nothing' },
  {
    route: 'PUT /session/tenant',
    permission: null,
    ask: ({ own }) => ({ path: '/session/tenant', body: { tenantId: own } }),
    neighbour: 403,
  },
  { route: 'DELETE /session', open: ownSession },
  { route: 'PUT /session/password', open: ownSession },
  { route: 'GET /sessions', open: ownSession },
  { route: 'DELETE /sessions/{sessionId}', open: ownSession },
]
