/** Reading bulk actions: how far they are, and what has become of each run. */

import { raw } from 'sql-template-tag'
import type { Database } from '../../db/database.ts'
import { InvalidRunFilterError, UnknownBulkActionError } from '../../errors.ts'
import { isRunId } from '../filter.ts'
import type { ActionKind, ActionRun, BulkAction } from './action.ts'

const columns = raw(`
  id, kind, state, selection, total, completed_later AS "completedLater",
  completed_later_of AS "completedLaterOf", tenant_ids AS "tenantIds",
  created_at AS "createdAt", created_by AS "createdBy", expires_at AS "expiresAt",
  confirmed_at AS "confirmedAt", confirmed_by AS "confirmedBy", reason, per_second AS "perSecond",
  finished_at AS "finishedAt", jsonb_build_object(
    'waiting', total - done - refused - skipped, 'done', done, 'refused', refused, 'skipped', skipped
  ) AS counts`)

/** A UUID, as a run's is. */
const isActionId = isRunId

/** Index: the primary keys. @throws UnknownBulkActionError, also where one of its tenants is not among `within`. */
export async function readAction(
  { sql }: Database,
  id: string,
  within: readonly string[] | null = null,
): Promise<BulkAction> {
  if (!isActionId(id)) throw new UnknownBulkActionError(id)
  const { rows } = await sql<BulkAction>`
    SELECT ${columns} FROM public.platform_bulk_actions AS action
    WHERE id = ${id} AND (${within}::text[] IS NULL OR (tenant_ids <> '{}' AND tenant_ids <@ ${within}))`
  const [action] = rows
  if (!action) throw new UnknownBulkActionError(id)
  return action
}

export interface ActionPage {
  /** Newest first. */
  actions: BulkAction[]
  next: string | null
}

export interface ListOptions {
  within: readonly string[] | null
  limit: number
  after?: string
  kind?: ActionKind | null
}

/** Index: platform_bulk_actions_created_at. */
export async function listActions(
  { sql }: Database,
  { within, limit, after, kind = null }: ListOptions,
): Promise<ActionPage> {
  if (after !== undefined && !isActionId(after)) {
    throw new InvalidRunFilterError('`after` is not the `next` of a page of bulk actions.')
  }
  const { rows } = await sql<BulkAction>`
    SELECT ${columns} FROM public.platform_bulk_actions AS action
    WHERE (${kind}::text IS NULL OR kind = ${kind})
      AND (${within}::text[] IS NULL OR (tenant_ids <> '{}' AND tenant_ids <@ ${within})) AND (
      ${after ?? null}::uuid IS NULL
      OR (created_at, id) < (SELECT created_at, id FROM public.platform_bulk_actions WHERE id = ${after ?? null})
    )
    ORDER BY created_at DESC, id DESC LIMIT ${limit + 1}`
  const actions = rows.slice(0, limit)
  return { actions, next: rows.length > limit ? (actions.at(-1)?.id ?? null) : null }
}

/** In order, after a number. Index: the primary key. */
export async function readActionRuns(
  { sql }: Database,
  id: string,
  { after, limit }: { after: number; limit: number },
): Promise<ActionRun[]> {
  const { rows } = await sql<ActionRun>`
    SELECT number, run_id AS "runId", task_id AS "taskId", tenant_id AS "tenantId", new_run_id AS "newRunId", state, problem
    FROM public.platform_bulk_action_runs WHERE action_id = ${id} AND number > ${after} ORDER BY number LIMIT ${limit}`
  return rows
}

const shownRefusals = 20

export async function readRefused({ sql }: Database, id: string) {
  const { rows } = await sql<Pick<ActionRun, 'runId' | 'taskId' | 'tenantId' | 'problem'>>`
    SELECT run_id AS "runId", task_id AS "taskId", tenant_id AS "tenantId", problem
    FROM public.platform_bulk_action_runs WHERE action_id = ${id} AND state = 'refused'
    ORDER BY number LIMIT ${shownRefusals}`
  return rows
}
