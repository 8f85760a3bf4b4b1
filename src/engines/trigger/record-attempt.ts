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

export async function recordAttempt(database: Database, attempt: FailedAttempt): Promise<void> {
  const { runId, taskId, tenantId, result, error, startedAt } = attempt
  const values = [
    runId,
    attempt.attempt,
    taskId,
    tenantId,
    result,
    JSON.stringify(toKeptFailure(taskId, error)),
    startedAt,
  ]
  await database.query(recordSql, [...values, workerName()])
}
