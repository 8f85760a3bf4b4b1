/** Confirming a preview, and stopping what it set going. */
import { type Actor, recordAuditOfEach } from '../../audit/audit.ts'
import type { Database } from '../../db/database.ts'
import { BulkActionStateError, InvalidBulkActionError } from '../../errors.ts'
import type { BulkAction } from './action.ts'
import type { BulkDependencies } from './deps.ts'
import { readAction } from './read.ts'

/** Whoever listens does the next step at once. */
export const bulkChannel = 'cgk_bulk'

export interface Confirmation {
  by: Actor
  /** Why; kept with the action and in the audit log. */
  reason: string
  /** Runs a second, at most. */
  perSecond?: number
  within: readonly string[] | null
}

const usualPerSecond = 200

/**
 * Confirming twice is confirming once: the second answers how far it is.
 *
 * @throws InvalidBulkActionError, UnknownBulkActionError, BulkActionStateError where the preview is too old or was stopped.
 */
export async function confirm(
  dependencies: BulkDependencies,
  id: string,
  { by, reason, perSecond = usualPerSecond, within }: Confirmation,
): Promise<BulkAction> {
  if (typeof reason !== 'string' || reason.trim() === '' || reason.length > 1_000) {
    throw new InvalidBulkActionError('Say why, in 1 to 1000 characters: it is kept in the audit log.')
  }
  if (!Number.isInteger(perSecond) || perSecond < 1 || perSecond > 10_000) {
    throw new InvalidBulkActionError('perSecond must be a whole number from 1 to 10000.')
  }
  const { database } = dependencies
  const { kind, state } = await readAction(database, id, within)
  if (state === 'stopped') throw new BulkActionStateError(id, 'was stopped')
  const confirmed = await database.transaction(async () => {
    const { rowCount } = await database.sql`
      UPDATE public.platform_bulk_actions SET
        state = 'running', confirmed_at = now(), confirmed_by = ${database.sql.json(by)}, reason = ${reason.trim()},
        per_second = ${perSecond}, next_step_at = now()
      WHERE id = ${id} AND state = 'previewed' AND expires_at > now()`
    if (rowCount === 0) return false
    const action = kind === 'replay' ? 'run.replay' : 'run.cancel'
    const deed = { actor: by, action, subject: id, reason: reason.trim() }
    await recordAuditOfEach(database, deed, await countByTenant(database, id))
    await database.sql`SELECT pg_notify(${bulkChannel}, '')`
    return true
  })
  const now = await readAction(database, id, within)
  if (!confirmed && now.state === 'previewed') {
    throw new BulkActionStateError(
      id,
      'is a preview of more than an hour ago: the runs may have changed. Preview again',
    )
  }
  return now
}

/** What has been done stays done; the runs that wait are left alone. One that has ended stays as it is. */
export async function stop(
  { database }: BulkDependencies,
  id: string,
  { by, within }: Pick<Confirmation, 'by' | 'within'>,
): Promise<BulkAction> {
  const { kind, tenantIds } = await readAction(database, id, within)
  await database.transaction(async () => {
    const { rowCount } = await database.sql`
      UPDATE public.platform_bulk_actions
      SET state = 'stopped', skipped = total - done - refused, finished_at = now(), next_step_at = NULL
      WHERE id = ${id} AND state IN ('previewed', 'running')`
    if (rowCount === 0) return
    const { rows } = await database.sql<{ tenantId: string; skipped: number }>`
      WITH skipped AS (
        UPDATE public.platform_bulk_action_runs SET state = 'skipped', problem = 'It was stopped before.'
        WHERE action_id = ${id} AND state = 'waiting' RETURNING tenant_id
      )
      SELECT concerned AS "tenantId", count(skipped.tenant_id)::int AS skipped
      FROM unnest(${tenantIds}::text[]) AS concerned LEFT JOIN skipped ON tenant_id = concerned
      GROUP BY concerned`
    const action = kind === 'replay' ? 'run.replay.stop' : 'run.cancel.stop'
    const deed = { actor: by, action, subject: id, reason: null }
    await recordAuditOfEach(
      database,
      deed,
      rows.map(({ tenantId, skipped }) => ({ tenantId, details: { skipped } })),
    )
  })
  return await readAction(database, id, within)
}

/** Index: the primary key. */
async function countByTenant({ sql }: Database, id: string) {
  const { rows } = await sql<{ tenantId: string; runs: number }>`
    SELECT tenant_id AS "tenantId", count(*)::int AS runs FROM public.platform_bulk_action_runs
    WHERE action_id = ${id} GROUP BY tenant_id`
  return rows.map(({ tenantId, runs }) => ({ tenantId, details: { runs } }))
}
