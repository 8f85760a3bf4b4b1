import { bulkActions } from '@cgk-platform/jobs'
import type { Denial, Stage } from './denial.ts'

const kinds = [
  {
    path: '/replays',
    permission: 'runs:replay',
    preview: (filter: { tenantId: string }) => bulkActions.previewReplay({ filter }),
  },
  {
    path: '/cancellations',
    permission: 'runs:cancel',
    preview: (filter: { tenantId: string }) => bulkActions.previewCancel({ filter }),
  },
] as const

/** An action of its own for each that asks, for one that has been stopped cannot be confirmed. */
const previewed = async ({ own }: Stage, { preview }: (typeof kinds)[number]) =>
  (await preview({ tenantId: own })).id

export const replayDenials: readonly Denial[] = [
  ...kinds.flatMap((kind): Denial[] => {
    const { path, permission } = kind
    const ofOne = (method: 'GET' | 'POST', end: string, body?: unknown): Denial => ({
      route: `${method} ${path}/{actionId}${end}`,
      permission,
      ask: async (stage) => ({ path: `${path}/${await previewed(stage, kind)}${end}`, body }),
      neighbour: 404,
    })
    return [
      {
        route: `POST ${path}`,
        permission,
        ask: () => ({ path, body: { filter: {} } }),
        neighbour: 'nothing',
      },
      { route: `GET ${path}`, permission, ask: () => ({ path }), neighbour: 'nothing' },
      ofOne('GET', ''),
      ofOne('GET', '/runs'),
      ofOne('POST', '/confirm', { reason: 'Because' }),
      ofOne('POST', '/stop'),
    ]
  }),
  {
    route: 'GET /replays/{actionId}/results',
    permission: 'runs:replay',
    ask: async (stage) => ({ path: `/replays/${await previewed(stage, kinds[0])}/results` }),
    neighbour: 404,
  },
]
