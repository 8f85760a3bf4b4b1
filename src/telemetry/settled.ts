/** Figures of what has been settled: what a run came to once nothing could change it any more. */
import { outcomeAttribute, taskAttribute, tenantAttribute } from './attributes.ts'
import { record } from './instruments.ts'
import { tenantLabel } from './tenant-label.ts'

interface Settled {
  taskId: string
  /** Null: nobody knows, for the payload could not be read. */
  tenantId: string | null
  outcome: string
}

const ends: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'expired'])

/** A run that comes back has not ended. */
export function recordSettled({ taskId, tenantId, outcome }: Settled): void {
  if (!ends.has(outcome)) return
  record(({ runsEnded, tenantRunsEnded }) => {
    runsEnded.add(1, { [taskAttribute]: taskId, [outcomeAttribute]: outcome })
    if (tenantId === null) return
    tenantRunsEnded.add(1, { [tenantAttribute]: tenantLabel(tenantId), [outcomeAttribute]: outcome })
  })
}

export function recordBatch(runs: number): void {
  record(({ settleBatch }) => settleBatch.record(runs))
}

/** Their worker went silent; those that have no attempt left have failed. */
export function recordLost(runs: readonly { taskId: string; tenantId: string; failed: boolean }[]): void {
  for (const { taskId, tenantId, failed } of runs) {
    record(({ runsLost }) => runsLost.add(1, { [taskAttribute]: taskId }))
    if (failed) recordSettled({ taskId, tenantId, outcome: 'failed' })
  }
}
