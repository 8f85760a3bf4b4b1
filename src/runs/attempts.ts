/** Failed and lost attempts, of runs on every engine. */
import type { Attempt } from '../task/run.ts'
import { isRunId } from './filter.ts'

/** Index: the primary key. */
const attemptsSql = `
  SELECT attempt, result, error, fingerprint, started_at AS "startedAt", finished_at AS "finishedAt", worker
  FROM public.platform_attempts WHERE run_id = $1 ORDER BY attempt`

/** A database, or a connection that is held. */
interface Queryable {
  query<Row extends object>(text: string, values: unknown[]): Promise<{ rows: Row[] }>
}

/** First to last. */
export async function readAttempts(database: Queryable, runId: string): Promise<Attempt[]> {
  if (!isRunId(runId)) return []
  return (await database.query<Attempt>(attemptsSql, [runId])).rows
}
