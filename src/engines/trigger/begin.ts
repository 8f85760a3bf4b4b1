/**
 * Trigger.dev may have made a run twice: a request whose answer was lost is made again, and where its run had failed
 * meanwhile, Trigger.dev takes it for a new one. When runs begin, Postgres decides which of them is the run.
 */
import type { Database } from '../../db/database.ts'
import { sentSql } from './outbox.ts'

export interface Beginning {
  /** The platform's. */
  runId: string
  /** Trigger.dev's. */
  triggerId: string
  tenantId: string
  taskId: string
}

/** It is the first with this id, or the one whose id callers were told; then nobody need ask for it any more. */
const beginSql = `${sentSql} RETURNING trigger_id = ($4::text[])[1] AS "isTheRun"`

/** False: another one is this run, and this one is to do nothing. */
export async function begin(
  database: Database,
  { runId, tenantId, taskId, triggerId }: Beginning,
): Promise<boolean> {
  const { rows } = await database.query<{ isTheRun: boolean }>(beginSql, [
    [runId],
    [tenantId],
    [taskId],
    [triggerId],
  ])
  return rows[0]?.isTheRun === true
}
