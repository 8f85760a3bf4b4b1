import type { Denial } from './denial.ts'

export const auditDenials: readonly Denial[] = [
  {
    route: 'GET /audit',
    permission: 'audit:read',
    ask: ({ own }) => ({ path: `/audit?tenant=${own}` }),
    neighbour: 'nothing',
  },
]
