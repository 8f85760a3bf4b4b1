/** Failed attempts are kept where those of every engine are: Trigger.dev only knows the last error of a run. */

import type { Database } from '../../db/database.ts'
import { keepFailed, toKeptFailure } from '../../runs/keep-failed.ts'
import type { RunError } from '../../task/json.ts'
import { workerName } from './attempt-facts.ts'

export interface FailedAttempt {
  runId: string
  attempt: number
  taskId: string
  tenantId: string
  result: 'retry' | 'failed'
  error: RunError
  startedAt: Date
  /** This process, where it is not said. */
  worker?: string
}

/** An attempt that is told twice is kept once. */
const recordSql = `
  WITH failed AS (
    SELECT $1::uuid AS id, $2::int AS attempt, $3::text AS task_id, $4::text AS tenant_id, $5::text AS result,
      $6::jsonb AS output, $7::timestamptz AS started_at, $8::text AS worker
    WHERE NOT EXISTS (SELECT FROM public.platform_attempts WHERE run_id = $1::uuid AND attempt = $2::int)
  ),
  ${keepFailed}
  SELECT`

export async function recordAttempt(
  database: Database,
  { runId, attempt, taskId, tenantId, result, error, startedAt, worker = workerName() }: FailedAttempt,
): Promise<void> {
  const kept = JSON.stringify(toKeptFailure(taskId, error))
  await database.query(recordSql, [runId, attempt, taskId, tenantId, result, kept, startedAt, worker])
}

/** One that said that another follows, and none did. Index: the primary key. */
const endSql = `
  UPDATE public.platform_attempts SET result = 'failed' WHERE run_id = $1 AND attempt = $2 AND result = 'retry'`

/** The last attempt of a run that has failed, whatever it has told itself. */
export async function recordEnd(database: Database, attempt: FailedAttempt): Promise<void> {
  await recordAttempt(database, attempt)
  await database.query(endSql, [attempt.runId, attempt.attempt])
}
