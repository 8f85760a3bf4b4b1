/** Failed attempts are kept where those of every engine are: Trigger.dev only knows the last error of a run. */
import { hostname } from 'node:os'
import type { Database } from '../../db/database.ts'
import type { RunError } from '../../task/json.ts'

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
  INSERT INTO public.platform_attempts (run_id, attempt, task_id, tenant_id, result, error, started_at, worker)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT DO NOTHING`

export async function recordAttempt(database: Database, attempt: FailedAttempt): Promise<void> {
  const { runId, taskId, tenantId, result, error, startedAt } = attempt
  const values = [runId, attempt.attempt, taskId, tenantId, result, JSON.stringify(error), startedAt]
  await database.query(recordSql, [...values, `trigger.dev ${hostname()} ${process.pid}`])
}
