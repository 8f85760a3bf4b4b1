/**
 * Deleting bulk actions that nobody will ask for again: previews that were not confirmed in time, and what ended long
 * ago. What was done, by whom and why stays in the audit log.
 */
import { raw } from 'sql-template-tag'
import type { Database } from '../../db/database.ts'

const actionsAtOnce = 100
const runsAtOnce = 10_000

/** Index: platform_bulk_actions_previewed, platform_bulk_actions_finished. */
const old = raw(`(
  SELECT id FROM public.platform_bulk_actions WHERE state = 'previewed' AND created_at < now() - interval '1 day'
  UNION ALL
  SELECT id FROM public.platform_bulk_actions WHERE finished_at < now() - interval '90 days'
  LIMIT ${actionsAtOnce}
)`)

/** In portions, the runs of an action before the action, for they may be many. */
export async function deleteOldActions(database: Database): Promise<void> {
  for (let actions = actionsAtOnce; actions === actionsAtOnce; ) {
    for (let runs = runsAtOnce; runs === runsAtOnce; ) runs = await deleteRuns(database)
    const { rowCount } = await database.sql`DELETE FROM public.platform_bulk_actions WHERE id IN ${old}`
    actions = rowCount
  }
}

/** Index: the primary key. */
async function deleteRuns({ sql }: Database): Promise<number> {
  const { rowCount } = await sql`
    DELETE FROM public.platform_bulk_action_runs WHERE ctid = ANY(ARRAY(
      SELECT run.ctid FROM ${old} AS old
      JOIN public.platform_bulk_action_runs AS run ON run.action_id = old.id LIMIT ${runsAtOnce}))`
  return rowCount
}
