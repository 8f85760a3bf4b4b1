/**
 * A preview: the runs are found and written down, nothing is done to them. What is confirmed later is exactly these, so
 * a run that fails in between is not among them. They are found before a transaction is opened to write them down: no
 * connection waits for another one.
 */

import { randomUUID } from 'node:crypto'
import type { Actor } from '../../audit/audit.ts'
import { InvalidBulkActionError } from '../../errors.ts'
import { portions } from '../../portions.ts'
import type { JsonValue } from '../../task/json.ts'
import { findUnstorable } from '../../task/payload.ts'
import type { Run } from '../../task/run.ts'
import type { ActionKind, ActionRun, BulkAction, Edit, Selection } from './action.ts'
import { type CompletedLater, CompletedLaterCount } from './completed-later.ts'
import type { BulkDependencies } from './deps.ts'
import { acceptEdited } from './edit.ts'
import { readAction, readRefused } from './read.ts'
import { selectRuns } from './select.ts'

export interface PreviewRequest {
  kind: ActionKind
  selection: Selection
  edit: Edit | null
  by: Actor
  /** Only runs of these tenants exist for who asks; null: of all. */
  within: readonly string[] | null
  /** Nobody waits for the answer any more. */
  signal: AbortSignal | null
}

export interface Preview extends BulkAction {
  /** Most runs first. */
  tenants: { tenantId: string; runs: number }[]
  tasks: { taskId: string; runs: number }[]
  /** Some of those that cannot be replayed, and why. */
  refused: Pick<ActionRun, 'runId' | 'taskId' | 'tenantId' | 'problem'>[]
}

/** More at once is more than anybody has looked at. */
export const mostRuns = 100_000
const previewIsGoodForMs = 3_600_000
const rowsPerInsert = 1_000

/** @throws InvalidBulkActionError, UnknownRunError, InvalidRunFilterError. */
export async function preview(dependencies: BulkDependencies, request: PreviewRequest): Promise<Preview> {
  checkRequest(request)
  const { database } = dependencies
  const found = await findRuns(request, dependencies)
  const id = randomUUID()
  await database.transaction(async () => {
    await insertAction(id, request, found, dependencies)
    let offset = 0
    for (const rows of portions(found.rows, rowsPerInsert)) {
      await insertRuns(id, offset, rows, dependencies)
      offset += rows.length
    }
  })
  return {
    ...(await readAction(database, id)),
    tenants: mostFirst(found.rows, 'tenantId').map(([tenantId, runs]) => ({ tenantId, runs })),
    tasks: mostFirst(found.rows, 'taskId').map(([taskId, runs]) => ({ taskId, runs })),
    refused: await readRefused(database, id),
  }
}

type Row = Pick<ActionRun, 'runId' | 'taskId' | 'tenantId' | 'newRunId' | 'state' | 'problem'>

interface Found {
  rows: Row[]
  completedLater: CompletedLater
}

async function findRuns(request: PreviewRequest, dependencies: BulkDependencies): Promise<Found> {
  const rows: Row[] = []
  const completedLater = new CompletedLaterCount(dependencies)
  for await (const runs of selectRuns(dependencies.engine, request)) {
    request.signal?.throwIfAborted()
    if (rows.length + runs.length > mostRuns) throw tooMany()
    rows.push(...(await Promise.all(runs.map((run) => toRow(run, request, dependencies.dispatcher)))))
    if (request.kind === 'replay') await completedLater.add(runs)
  }
  return { rows, completedLater: completedLater.result }
}

async function toRow(
  { id: runId, taskId, tenantId, ...rest }: Run,
  { kind, edit }: PreviewRequest,
  dispatcher: BulkDependencies['dispatcher'],
): Promise<Row> {
  const row = { runId, taskId, tenantId, newRunId: null, state: 'waiting', problem: null } as const
  if (kind === 'cancel') return row
  const accepted = await acceptEdited({ id: runId, taskId, tenantId, ...rest }, edit, dispatcher)
  if ('problem' in accepted) return { ...row, state: 'refused', problem: accepted.problem }
  return { ...row, newRunId: randomUUID() }
}

async function insertAction(
  id: string,
  { kind, selection, edit, by, within }: PreviewRequest,
  { rows, completedLater }: Found,
  { database: { sql } }: BulkDependencies,
): Promise<void> {
  const shown = 'runIds' in selection ? { runIds: selection.runIds.length } : selection
  const expiresAt = new Date(Date.now() + previewIsGoodForMs)
  const refused = rows.filter(({ state }) => state === 'refused').length
  // One of no runs is still somebody's: theirs who asked, and not everybody's.
  const tenantIds = rows.length > 0 ? [...new Set(rows.map(({ tenantId }) => tenantId))] : [...(within ?? [])]
  await sql`
    INSERT INTO public.platform_bulk_actions
      (id, kind, selection, edit, tenant_ids, total, refused, completed_later, completed_later_of, created_by, expires_at)
    VALUES (
      ${id}, ${kind}, ${sql.json(shown)}, ${edit && sql.json(edit)}, ${tenantIds}, ${rows.length}, ${refused},
      ${completedLater.count}, ${completedLater.of}, ${sql.json(by)}, ${expiresAt}
    )`
}

async function insertRuns(
  id: string,
  offset: number,
  rows: readonly Row[],
  { database: { sql } }: BulkDependencies,
): Promise<void> {
  await sql`
    INSERT INTO public.platform_bulk_action_runs
      (action_id, number, run_id, task_id, tenant_id, new_run_id, state, problem)
    SELECT ${id}, ${offset} + number, run_id, task_id, tenant_id, new_run_id, state, problem
    FROM unnest(
      ${rows.map(({ runId }) => runId)}::uuid[], ${rows.map(({ taskId }) => taskId)}::text[],
      ${rows.map(({ tenantId }) => tenantId)}::text[], ${rows.map(({ newRunId }) => newRunId)}::uuid[],
      ${rows.map(({ state }) => state)}::text[], ${rows.map(({ problem }) => problem)}::text[]
    ) WITH ORDINALITY AS given (run_id, task_id, tenant_id, new_run_id, state, problem, number)`
}

function checkRequest({ kind, selection, edit }: PreviewRequest): void {
  const byIds = 'runIds' in selection
  if (byIds && selection.runIds.length === 0) throw new InvalidBulkActionError('Select at least one run.')
  if (byIds && selection.runIds.length > mostRuns) throw tooMany()
  if (!edit) return
  if (kind === 'cancel') throw new InvalidBulkActionError('A cancel edits no payload.')
  if ('payload' in edit && !(byIds && selection.runIds.length === 1)) {
    throw new InvalidBulkActionError(
      'A whole payload can be given for one run only. For many, give a patch: { "field": "new value" }.',
    )
  }
  const unstorable = findUnstorable(edit)
  if (unstorable)
    throw new InvalidBulkActionError(`This edit cannot be kept: ${unstorable.path} ${unstorable.message}.`)
  const patch = 'patch' in edit ? edit.patch : {}
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
    throw new InvalidBulkActionError('A patch is an object like { "field": "new value" } (JSON merge patch).')
  }
  if (Object.hasOwn(patch as Record<string, JsonValue>, 'tenantId')) {
    throw new InvalidBulkActionError(
      'A patch cannot change tenantId: a replay belongs to the tenant of its run.',
    )
  }
}

function tooMany(): InvalidBulkActionError {
  return new InvalidBulkActionError(`That is more than ${mostRuns} runs at once: narrow the filter.`)
}

function mostFirst(rows: readonly Row[], name: 'tenantId' | 'taskId'): [string, number][] {
  const counts = new Map<string, number>()
  for (const { [name]: value } of rows) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([one, runs], [other, more]) => more - runs || one.localeCompare(other))
}
