import { runs } from '@cgk-platform/jobs'
import type { Denial, Stage } from './denial.ts'

const pathOf = async ({ failedId }: Stage) => `/failures/${(await runs.get(failedId)).fingerprint}`

const marks = [
  ['resolve', undefined],
  ['ignore', { until: new Date(Date.now() + 86_400_000).toISOString() }],
  ['reopen', undefined],
] as const

export const failureDenials: readonly Denial[] = [
  {
    route: 'GET /failures',
    permission: 'runs:read',
    ask: () => ({ path: '/failures' }),
    neighbour: 'nothing',
  },
  {
    route: 'GET /failures/{fingerprint}',
    permission: 'runs:read',
    ask: async (stage) => ({ path: await pathOf(stage) }),
    neighbour: 404,
  },
  ...marks.map(
    ([mark, body]): Denial => ({
      route: `POST /failures/{fingerprint}/${mark}`,
      permission: 'failures:write',
      ask: async (stage) => ({ path: `${await pathOf(stage)}/${mark}`, body }),
      neighbour: 404,
    }),
  ),
]
