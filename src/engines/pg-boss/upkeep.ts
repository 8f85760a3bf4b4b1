/** What any worker does now and then for all: nothing of it is urgent, and all of it may be done by several at once. */
import type { Database } from '../../db/database.ts'
import { addUpCounts } from '../../runs/counts.ts'
import { addUpFailures } from '../../runs/failure-counts.ts'
import { deleteOutdated, type Retention } from '../../runs/retention.ts'
import type { Boss } from './boss.ts'
import { type Lost, recoverAllLost } from './heartbeat.ts'
import { sweepEnded } from './sweep.ts'

/**
 * Answers the runs that it took back. Those before pg-boss's backstop does: of an attempt that others follow, that would
 * leave nothing to tell of.
 */
export async function keepUp(queue: Database, boss: Boss, retention: Retention): Promise<Lost[]> {
  const lost = await recoverAllLost(queue)
  await boss.supervise()
  await sweepEnded(queue)
  await addUpCounts(queue)
  await addUpFailures(queue)
  await deleteOutdated(queue, retention)
  return lost
}
