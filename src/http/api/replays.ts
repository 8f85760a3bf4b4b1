/**
 * Replays and cancellations of many runs: preview, confirm, watch, stop. Whoever asks needs the permission for every
 * tenant of the action; one that has a run of another tenant's does not exist for them.
 */
import { createRoute, z } from '@hono/zod-openapi'
import { UnknownBulkActionError } from '../../errors.ts'
import type { ActionKind, BulkAction, Edit, Selection } from '../../runs/bulk/action.ts'
import {
  actionRunSchema,
  actionSchema,
  confirmation,
  newCancellation,
  newReplay,
  previewSchema,
  resultsSchema,
  showAction,
  showActionRun,
  showPreview,
} from './action-schemas.ts'
import { untilDeadline } from './deadline.ts'
import { type ApiContext, type ApiRoutes, actorOf, newRoutes, permittedTenants } from './env.ts'
import { readFilter } from './run-filter.ts'
import { jsonAnswer, jsonBody, pageQuery, problemAnswer, problems, uuid } from './schemas.ts'

const actionParam = z.object({ actionId: uuid })
const noSuchAction = { 404: problemAnswer('There is none for whoever asks.') }
const answers = { 200: jsonAnswer('How far it is.', actionSchema), ...noSuchAction, ...problems }
const previewAnswers = {
  201: jsonAnswer('What confirming it would do; nothing is done yet.', previewSchema),
  404: problemAnswer('One of the runs does not exist for whoever asks.'),
  413: problemAnswer('The body is too large.'),
  422: problemAnswer('That cannot be done, or not to so many runs.'),
  ...problems,
}

const previewReplay = createRoute({
  method: 'post',
  path: '/replays',
  operationId: 'previewReplay',
  summary: 'Preview a replay of runs that have ended',
  request: jsonBody(newReplay),
  responses: previewAnswers,
})

const previewCancellation = createRoute({
  method: 'post',
  path: '/cancellations',
  operationId: 'previewCancellation',
  summary: 'Preview a cancellation of open runs',
  request: jsonBody(newCancellation),
  responses: previewAnswers,
})

const readResults = createRoute({
  method: 'get',
  path: '/replays/{actionId}/results',
  operationId: 'readReplayResults',
  summary: 'What has become of the new runs',
  request: { params: actionParam },
  responses: { 200: jsonAnswer('By state.', resultsSchema), ...noSuchAction, ...problems },
})

export function replayRoutes(): ApiRoutes {
  return actionRoutes('replay')
    .openapi(previewReplay, async (context) => {
      const { edit = null, ...selection } = context.req.valid('json')
      const preview = await bulkOf(context).previewReplay(readSelection(selection), {
        ...asking(context, 'replay'),
        edit: edit as Edit | null,
        signal: untilDeadline(context),
      })
      return context.json(showPreview(preview), 201)
    })
    .openapi(readResults, async (context) => {
      const { id } = await requireAction(context, 'replay', context.req.valid('param').actionId)
      return context.json(await bulkOf(context).results(id, asking(context, 'replay')), 200)
    })
}

export function cancellationRoutes(): ApiRoutes {
  return actionRoutes('cancel').openapi(previewCancellation, async (context) => {
    const selection = readSelection(context.req.valid('json'))
    const options = { ...asking(context, 'cancel'), signal: untilDeadline(context) }
    const preview = await bulkOf(context).previewCancel(selection, options)
    return context.json(showPreview(preview), 201)
  })
}

const words = {
  replay: { path: '/replays', one: 'Replay', many: 'Replays' },
  cancel: { path: '/cancellations', one: 'Cancellation', many: 'Cancellations' },
} as const

/** What both have. */
function actionRoutes(kind: ActionKind): ApiRoutes {
  const { path, one, many } = words[kind]

  const listActions = createRoute({
    method: 'get',
    path,
    operationId: `list${many}`,
    summary: `${many}, newest first`,
    request: { query: z.strictObject(pageQuery) },
    responses: {
      200: jsonAnswer(
        'A page of them.',
        z.object({ actions: z.array(actionSchema), next: z.string().nullable() }),
      ),
      ...problems,
    },
  })

  const getAction = createRoute({
    method: 'get',
    path: `${path}/{actionId}`,
    operationId: `get${one}`,
    summary: `${one}: how far it is`,
    request: { params: actionParam },
    responses: answers,
  })

  const listActionRuns = createRoute({
    method: 'get',
    path: `${path}/{actionId}/runs`,
    operationId: `list${one}Runs`,
    summary: `${one}: each of its runs, in order`,
    request: {
      params: actionParam,
      query: z.strictObject({ limit: pageQuery.limit, after: z.coerce.number().int().min(0).default(0) }),
    },
    responses: {
      200: jsonAnswer(
        'A page of them.',
        z.object({ runs: z.array(actionRunSchema), next: z.int().nullable() }),
      ),
      ...noSuchAction,
      ...problems,
    },
  })

  const confirmAction = createRoute({
    method: 'post',
    path: `${path}/{actionId}/confirm`,
    operationId: `confirm${one}`,
    summary: `${one}: do it, to exactly the runs of the preview; twice is once`,
    request: { params: actionParam, ...jsonBody(confirmation) },
    responses: {
      ...answers,
      409: problemAnswer('It was stopped, or the preview is too old.'),
      422: problemAnswer('There is no reason in it.'),
    },
  })

  const stopAction = createRoute({
    method: 'post',
    path: `${path}/{actionId}/stop`,
    operationId: `stop${one}`,
    summary: `${one}: leave alone what has not been done yet`,
    request: { params: actionParam },
    responses: answers,
  })

  return newRoutes()
    .openapi(listActions, async (context) => {
      const { limit, after } = context.req.valid('query')
      const { within } = asking(context, kind)
      const page = { within, kind, limit, ...(after !== undefined && { after }) }
      const { actions, next } = await bulkOf(context).list(page)
      return context.json({ actions: actions.map(showAction), next }, 200)
    })
    .openapi(getAction, async (context) => {
      const action = await requireAction(context, kind, context.req.valid('param').actionId)
      return context.json(showAction(action), 200)
    })
    .openapi(listActionRuns, async (context) => {
      const { id } = await requireAction(context, kind, context.req.valid('param').actionId)
      const { limit, after } = context.req.valid('query')
      const runs = await bulkOf(context).runs(id, { after, limit })
      const next = runs.length === limit ? (runs.at(-1)?.number ?? null) : null
      return context.json({ runs: runs.map(showActionRun), next }, 200)
    })
    .openapi(confirmAction, async (context) => {
      const { id } = await requireAction(context, kind, context.req.valid('param').actionId)
      const { reason, perSecond } = context.req.valid('json')
      const pace = perSecond === undefined ? {} : { perSecond }
      const action = await bulkOf(context).confirm(id, { ...asking(context, kind), reason, ...pace })
      return context.json(showAction(action), 200)
    })
    .openapi(stopAction, async (context) => {
      const { id } = await requireAction(context, kind, context.req.valid('param').actionId)
      return context.json(showAction(await bulkOf(context).stop(id, asking(context, kind))), 200)
    })
}

function bulkOf(context: ApiContext) {
  return context.get('platform').bulk
}

function asking(context: ApiContext, kind: ActionKind) {
  const within = permittedTenants(context, kind === 'replay' ? 'runs:replay' : 'runs:cancel')
  return { by: actorOf(context), within }
}

/** A replay is no cancellation, and needs another permission. @throws UnknownBulkActionError. */
async function requireAction(context: ApiContext, kind: ActionKind, id: string): Promise<BulkAction> {
  const action = await bulkOf(context).get(id, asking(context, kind))
  if (action.kind === kind) return action
  throw new UnknownBulkActionError(id)
}

function readSelection({ runIds, filter }: z.output<typeof newCancellation>): Selection {
  return runIds ? { runIds } : { filter: readFilter(filter ?? {}) }
}
