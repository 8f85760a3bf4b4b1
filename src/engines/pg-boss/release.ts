/**
 * Letting go of runs whose hold is over. In portions that double, with a pause between: when the first ones show that
 * the provider still refuses or still asks to wait, only they have tried. Whichever worker looks first takes a portion.
 */
import type { Database } from '../../db/database.ts'
import { readyChannel } from './boss.ts'
import { heldBy, heldUntil, jobTable } from './job.ts'

const firstPortion = 10
const largestPortion = 500
/** Between the first portions, for a slow provider to say no; and between the later ones. */
const firstPauseMs = 1_000
const pauseMs = 200
/** So many runs that went through are a sign that it says yes. */
const enough = 40
const holdsAtOnce = 50

/** Waits for nobody: a claim locks several holds, too, and the two would wait for each other. Index: platform_holds_until. */
const expireSql = `
  WITH over AS (
    SELECT tenant_id, service FROM public.platform_holds
    WHERE lifted_at IS NULL AND until <= now() FOR UPDATE SKIP LOCKED
  )
  UPDATE public.platform_holds hold SET lifted_at = now(), released = 0, next_portion_at = now()
  FROM over WHERE hold.tenant_id = over.tenant_id AND hold.service = over.service`

/**
 * A hold whose last run has gone goes as well. Indexes: platform_holds_portion; cgk_job_held (boss.ts), from which
 * exactly the portion is read, however long the backlog.
 */
const releaseSql = `
  WITH due AS (
    SELECT tenant_id, service, released FROM public.platform_holds
    WHERE lifted_at IS NOT NULL AND next_portion_at <= now()
    ORDER BY next_portion_at LIMIT ${holdsAtOnce}
    FOR UPDATE SKIP LOCKED
  ),
  portion AS (
    SELECT job.ctid, due.tenant_id, due.service FROM due CROSS JOIN LATERAL (
      SELECT ctid FROM ${jobTable}
      WHERE group_id = due.tenant_id AND ${heldBy} = due.service AND state < 'active' AND start_after = '${heldUntil}'
      ORDER BY priority DESC, created_on
      LIMIT least(${largestPortion}, greatest(${firstPortion}, due.released))
      FOR UPDATE
    ) AS job
  ),
  released AS (
    UPDATE ${jobTable} j SET start_after = now(), output = NULL
    FROM portion WHERE j.ctid = portion.ctid AND j.state < 'active'
    RETURNING j.name, portion.tenant_id, portion.service
  ),
  progress AS (
    SELECT due.tenant_id, due.service, count(released.name)::int AS runs
    FROM due LEFT JOIN released ON released.tenant_id = due.tenant_id AND released.service = due.service
    GROUP BY due.tenant_id, due.service
  ),
  over AS (
    DELETE FROM public.platform_holds hold USING progress
    WHERE hold.tenant_id = progress.tenant_id AND hold.service = progress.service AND progress.runs = 0
  ),
  going AS (
    UPDATE public.platform_holds hold SET
      released = hold.released + progress.runs,
      next_portion_at = now() + interval '1 millisecond' *
        CASE WHEN hold.released + progress.runs < ${enough} THEN ${firstPauseMs} ELSE ${pauseMs} END
    FROM progress
    WHERE hold.tenant_id = progress.tenant_id AND hold.service = progress.service AND progress.runs > 0
  ),
  announced AS (SELECT pg_notify('${readyChannel}', name) FROM released GROUP BY name)
  SELECT sum(runs)::int AS runs, count(*)::int AS holds, (SELECT count(*) FROM announced) AS announced FROM progress`

/** Index: cgk_job_held. */
const countSql = `
  SELECT count(*)::int AS runs FROM ${jobTable}
  WHERE group_id = $1 AND ${heldBy} = $2 AND state < 'active' AND start_after = '${heldUntil}'`

export async function countHeld(queue: Database, tenantId: string, service: string): Promise<number> {
  const { rows } = await queue.query<{ runs: number }>(countSql, [tenantId, service])
  return rows[0]!.runs
}

/** One portion of every hold that has one due. Answers in how many milliseconds the next one is, or undefined. */
export async function releaseHeld(queue: Database): Promise<number | undefined> {
  await queue.query(expireSql)
  for (;;) {
    const { rows } = await queue.query<{ runs: number | null; holds: number }>(releaseSql)
    const { runs, holds } = rows[0]!
    if (holds < holdsAtOnce) return runs ? pauseMs : undefined
  }
}
