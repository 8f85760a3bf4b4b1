/** What the API takes and says of replays and cancellations of many runs. */
import { z } from '@hono/zod-openapi'
import type { ActionRun, BulkAction } from '../../runs/bulk/action.ts'
import type { Preview } from '../../runs/bulk/preview.ts'
import { mostRuns } from '../../runs/bulk/preview.ts'
import { runStates } from '../../task/run.ts'
import { actorSchema } from './audit.ts'
import { runFilterSchema, showFilter } from './run-filter.ts'
import { slug, text, time, uuid } from './schemas.ts'

const count = z.int().min(0)
const json = z.record(z.string(), z.unknown())
const selection = {
  runIds: z.array(uuid).min(1).max(mostRuns).optional(),
  filter: runFilterSchema
    .optional()
    .describe('Every run that matches; of a failure group by its fingerprint.'),
}
const editSchema = z
  .union([z.strictObject({ payload: json }), z.strictObject({ patch: json })])
  .describe('One payload for one run, or a JSON merge patch (RFC 7396) for any number.')

const either = [
  ({ runIds, filter }: { runIds?: unknown; filter?: unknown }) =>
    (runIds === undefined) !== (filter === undefined),
  'give runIds or filter',
] as const

export const newCancellation = z.strictObject(selection).refine(...either)
export const newReplay = z.strictObject({ ...selection, edit: editSchema.optional() }).refine(...either)

export const confirmation = z.strictObject({
  reason: text(1_000).min(1).describe('Why: it is kept in the audit log.'),
  perSecond: z.int().min(1).max(10_000).optional().describe('Runs a second at most; 200 by default.'),
})

export const actionSchema = z
  .object({
    id: uuid,
    kind: z.enum(['replay', 'cancel']),
    state: z.enum(['previewed', 'running', 'completed', 'stopped']),
    selection: z.union([z.object({ filter: runFilterSchema }), z.object({ runIds: count })]),
    total: count.describe('How many runs it is about.'),
    counts: z.object({ waiting: count, done: count, refused: count, skipped: count }),
    completedLater: count.describe(
      'Of how many a later run, of the same payload or as its replay, has completed.',
    ),
    completedLaterOf: count.describe('Of how many that was looked for: all, unless it would take too long.'),
    tenantIds: z.array(slug),
    createdAt: time,
    createdBy: actorSchema,
    expiresAt: time.describe('Until when it can be confirmed.'),
    confirmedAt: time.nullable(),
    confirmedBy: actorSchema.nullable(),
    reason: z.string().nullable(),
    perSecond: count.nullable(),
    finishedAt: time.nullable(),
  })
  .openapi('Action')

export const previewSchema = actionSchema
  .extend({
    tenants: z.array(z.object({ tenantId: slug, runs: count })).describe('Most runs first.'),
    tasks: z.array(z.object({ taskId: z.string(), runs: count })),
    refused: z
      .array(z.object({ runId: uuid, taskId: z.string(), tenantId: slug, problem: z.string().nullable() }))
      .describe('Some of those that cannot be replayed, and why.'),
  })
  .openapi('Preview')

export const actionRunSchema = z
  .object({
    number: count,
    runId: uuid,
    taskId: z.string(),
    tenantId: slug,
    newRunId: uuid.nullable(),
    state: z.enum(['waiting', 'done', 'refused', 'skipped']),
    problem: z.string().nullable(),
  })
  .openapi('ActionRun')

export const resultsSchema = z
  .record(z.enum(runStates), count)
  .describe('How many of the new runs are in which state.')

export function showAction(action: BulkAction): z.input<typeof actionSchema> {
  const { selection, counts, createdBy, confirmedBy } = action
  return {
    id: action.id,
    kind: action.kind,
    state: action.state,
    selection: 'runIds' in selection ? selection : { filter: showFilter(selection.filter) },
    total: action.total,
    counts,
    completedLater: action.completedLater,
    completedLaterOf: action.completedLaterOf,
    tenantIds: action.tenantIds,
    createdAt: action.createdAt.toISOString(),
    createdBy,
    expiresAt: action.expiresAt.toISOString(),
    confirmedAt: action.confirmedAt?.toISOString() ?? null,
    confirmedBy,
    reason: action.reason,
    perSecond: action.perSecond,
    finishedAt: action.finishedAt?.toISOString() ?? null,
  }
}

export function showPreview(preview: Preview): z.input<typeof previewSchema> {
  const { tenants, tasks, refused } = preview
  return { ...showAction(preview), tenants, tasks, refused }
}

export function showActionRun(run: ActionRun): z.input<typeof actionRunSchema> {
  const { number, runId, taskId, tenantId, newRunId, state, problem } = run
  return { number, runId, taskId, tenantId, newRunId, state, problem }
}
