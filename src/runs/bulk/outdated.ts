/**
 * Deleting bulk actions that nobody will ask for again. What was done, by whom and why, stays in the audit log.
 *
 * An action has up to a hundred thousand runs, so these go first, in portions, and the action with the last of them.
 */
import type { Database } from '../../db/database.ts'

const portion = 10_000

/** Index: platform_bulk_actions_previewed, platform_bulk_actions_finished; of the runs the primary key. */
const outdatedSql = `
  WITH old AS (
    (SELECT id FROM public.platform_bulk_actions
      WHERE state = 'previewed' AND created_at < now() - interval '1 day' ORDER BY created_at LIMIT 100)
    UNION ALL
    (SELECT id FROM public.platform_bulk_actions
      WHERE finished_at < now() - interval '90 days' ORDER BY finished_at LIMIT 100)
  ),
  runs AS (
    DELETE FROM public.platform_bulk_action_runs WHERE ctid = ANY(ARRAY(
      SELECT run.ctid FROM old CROSS JOIN LATERAL (
        SELECT ctid FROM public.platform_bulk_action_runs WHERE action_id = old.id LIMIT ${portion}
      ) AS run LIMIT ${portion}))
    RETURNING action_id
  ),
  actions AS (
    DELETE FROM public.platform_bulk_actions
    WHERE id IN (SELECT id FROM old) AND (SELECT count(*) FROM runs) < ${portion}
  )
  SELECT count(*)::int AS found FROM old`

/** Previews that were not confirmed within a day, and what ended 90 days ago. */
export async function deleteOutdatedActions(database: Database): Promise<void> {
  for (let found = 1; found > 0; ) {
    const { rows } = await database.query<{ found: number }>(outdatedSql)
    found = rows[0]!.found
  }
}
