import type { Denial } from './denial.ts'

export const runDenials: readonly Denial[] = [
  { route: 'GET /tasks', permission: 'runs:read', ask: () => ({ path: '/tasks' }), neighbour: 'nothing' },
  {
    route: 'GET /tasks/{taskId}',
    permission: 'runs:read',
    ask: () => ({ path: '/tasks/api%2Fdenied' }),
    neighbour: 'nothing',
  },
  {
    route: 'POST /runs',
    permission: 'runs:trigger',
    ask: ({ own }) => ({ path: '/runs', body: { task: 'api/denied', payload: { tenantId: own } } }),
    neighbour: 403,
  },
  {
    route: 'POST /runs/batch',
    permission: 'runs:trigger',
    ask: ({ own }) => ({
      path: '/runs/batch',
      body: { task: 'api/denied', items: [{ payload: { tenantId: own } }] },
    }),
    neighbour: 403,
  },
  {
    route: 'GET /runs',
    permission: 'runs:read',
    ask: ({ own, runId }) => ({ path: `/runs?tenant=${own}&id=${runId}` }),
    neighbour: 'nothing',
  },
  {
    route: 'GET /runs/counts',
    permission: 'runs:read',
    ask: () => ({ path: '/runs/counts' }),
    neighbour: 'nothing',
  },
  {
    route: 'GET /runs/{runId}',
    permission: 'runs:read',
    ask: ({ runId }) => ({ path: `/runs/${runId}` }),
    neighbour: 404,
    lacking: 404,
  },
  {
    route: 'GET /runs/{runId}/logs',
    permission: 'runs:read',
    ask: ({ runId }) => ({ path: `/runs/${runId}/logs` }),
    neighbour: 404,
    lacking: 404,
  },
  {
    route: 'POST /runs/{runId}/reschedule',
    permission: 'runs:cancel',
    ask: ({ runId }) => ({ path: `/runs/${runId}/reschedule`, body: { delay: '2h' } }),
    neighbour: 404,
  },
  {
    route: 'POST /runs/{runId}/cancel',
    permission: 'runs:cancel',
    ask: ({ runId }) => ({ path: `/runs/${runId}/cancel` }),
    neighbour: 404,
  },
]
