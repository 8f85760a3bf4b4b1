import type { Denial } from './denial.ts'

const schedule = '/schedules/api%2Fdenied%3Adefault'

const ofTenant = (
  route: `${'PUT' | 'DELETE' | 'POST'} /tenants/{tenantId}/schedules/{schedule}${string}`,
  permission: 'schedules:write' | 'runs:trigger',
  body?: unknown,
): Denial => ({
  route,
  permission,
  ask: ({ own }) => ({ path: `/tenants/${own}${schedule}${route.split('{schedule}')[1]}`, body }),
  neighbour: 404,
})

const ofAll = (end: string, permission: 'schedules:write' | 'runs:trigger', body?: unknown): Denial => ({
  route: `POST /schedules/{schedule}${end}`,
  permission,
  ask: () => ({ path: `${schedule}${end}`, body }),
  neighbour: 403,
  everywhere: true,
})

export const scheduleDenials: readonly Denial[] = [
  {
    route: 'GET /schedules',
    permission: 'runs:read',
    ask: () => ({ path: '/schedules' }),
    neighbour: 'nothing',
  },
  ofTenant('PUT /tenants/{tenantId}/schedules/{schedule}', 'schedules:write', { cron: '0 4 * * *' }),
  ofTenant('POST /tenants/{tenantId}/schedules/{schedule}/pause', 'schedules:write'),
  ofTenant('POST /tenants/{tenantId}/schedules/{schedule}/resume', 'schedules:write'),
  ofTenant('POST /tenants/{tenantId}/schedules/{schedule}/run', 'runs:trigger', {}),
  ofTenant('DELETE /tenants/{tenantId}/schedules/{schedule}', 'schedules:write'),
  ofAll('/pause', 'schedules:write'),
  ofAll('/resume', 'schedules:write'),
  ofAll('/run', 'runs:trigger', {}),
]
