/** The latest progress of runs: stored for many at once, and read for one. */
import type { Database } from '../../db/database.ts'
import type { JournaledRun } from '../../task/journal.ts'
import type { Progress } from '../../task/progress.ts'

export interface ToldProgress {
  run: JournaledRun
  progress: Progress
  at: Date
}

/** What a run last told of. */
export interface RunProgress extends Progress {
  attempt: number
  at: Date
}

/** Late words of a worker that has lost the run change nothing. Index: the primary key. */
const storeSql = `
  WITH tenant AS (
    SELECT slug FROM public.organizations WHERE slug = ANY($2::text[]) FOR KEY SHARE
  )
  INSERT INTO public.platform_run_progress AS known (run_id, tenant_id, attempt, fraction, current, total, message, at)
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::float8[], $5::float8[], $6::float8[], $7::text[], $8::timestamptz[])
    AS told (run_id, tenant_id, attempt, fraction, current, total, message, at)
  WHERE tenant_id IN (SELECT slug FROM tenant) ORDER BY run_id
  ON CONFLICT (run_id) DO UPDATE SET attempt = excluded.attempt, fraction = excluded.fraction,
    current = excluded.current, total = excluded.total, message = excluded.message, at = excluded.at
    WHERE excluded.attempt >= known.attempt`

export async function storeProgress(database: Database, told: readonly ToldProgress[]): Promise<void> {
  await database.query(storeSql, [
    told.map(({ run }) => run.runId),
    told.map(({ run }) => run.tenantId),
    told.map(({ run }) => run.attempt),
    told.map(({ progress }) => progress.fraction),
    told.map(({ progress }) => progress.current),
    told.map(({ progress }) => progress.total),
    told.map(({ progress }) => progress.message),
    told.map(({ at }) => at),
  ])
}

/** Index: the primary key. */
const readSql = `
  SELECT fraction, current, total, message, attempt, at FROM public.platform_run_progress WHERE run_id = $1`

export async function readProgress(database: Database, runId: string): Promise<RunProgress | null> {
  const { rows } = await database.query<RunProgress>(readSql, [runId])
  return rows[0] ?? null
}
