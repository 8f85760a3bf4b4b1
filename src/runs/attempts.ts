/** Failed and lost attempts, which every engine with a database records in one table. */
import type { Database } from '../db/database.ts'
import type { Attempt } from '../task/run.ts'

/** Index: the primary key. */
const attemptsSql = `
  SELECT attempt, result, error, started_at AS "startedAt", finished_at AS "finishedAt", worker
  FROM public.platform_attempts WHERE run_id = $1 ORDER BY attempt`

/** First to last. `runId` is a UUID: the engine has looked at it. */
export async function readAttempts(database: Database, runId: string): Promise<Attempt[]> {
  return (await database.query<Attempt>(attemptsSql, [runId])).rows
}
