/**
 * Moving to history what ended without being moved: by pg-boss's own backstop, which fails the jobs that no worker of
 * ours takes back; by a worker of an older release; by hand.
 */
import type { Database } from '../../db/database.ts'
import { keepEnded } from '../../runs/history.ts'
import { attemptOf, endedJob, errorOf, jobTable, stateOf } from './job.ts'

const portion = 1_000

/** Index: pg-boss's job_i16 (name, completed_on) where completed_on is not null. */
const sweepSql = `
  WITH over AS (
    SELECT job.ctid FROM pgboss.queue AS queue CROSS JOIN LATERAL (
      SELECT ctid FROM ${jobTable}
      WHERE name = queue.name AND completed_on IS NOT NULL AND state > 'active' AND group_id IS NOT NULL
      LIMIT ${portion}
      FOR UPDATE SKIP LOCKED
    ) AS job LIMIT ${portion}
  ),
  ended AS (
    DELETE FROM ${jobTable} j USING over WHERE j.ctid = over.ctid AND j.state > 'active'
    RETURNING ${endedJob('j', {
      state: stateOf('j'),
      output: `CASE WHEN j.state = 'completed' THEN nullif(j.output, 'null') END`,
      error: `CASE WHEN j.state <> 'completed' THEN ${errorOf('j')} END`,
      fingerprint: 'NULL::text',
      attempt: attemptOf('j'),
      started_at: 'j.started_on',
      finished_at: 'j.completed_on',
      worker: 'NULL::text',
      credentials: 'NULL::jsonb',
    })}
  ),
  ${keepEnded}
  SELECT count(*)::int AS runs FROM ended`

/** Answers how many runs. */
export async function sweepEnded(queue: Database): Promise<number> {
  for (let runs = 0; ; ) {
    const { rows } = await queue.query<{ runs: number }>(sweepSql)
    runs += rows[0]!.runs
    if (rows[0]!.runs < portion) return runs
  }
}
