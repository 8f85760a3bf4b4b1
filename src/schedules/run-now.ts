/** Running a schedule outside its times: the same runs, on an occasion of their own. */
import type { Database } from '../db/database.ts'
import type { Engine } from '../engines/engine.ts'
import { tenantsPerBatch } from './hand-out.ts'
import { findAllMembers } from './members.ts'
import { toRequest } from './request.ts'
import type { Schedule } from './schedule.ts'

export interface RunNowOptions {
  /** Null: every active tenant that has it. */
  tenantId: string | null
  /** Whoever asks again with the same one gets the same runs. */
  invocation: string
}

/** Answers the ids of the runs. */
export async function runNow(
  { database, engine }: { database: Database; engine: Engine },
  schedule: Schedule,
  { tenantId, invocation }: RunNowOptions,
): Promise<string[]> {
  const runIds: string[] = []
  for (let after = ''; ; ) {
    const page = { after, limit: tenantsPerBatch, tenantId }
    const members = await findAllMembers(database, schedule, page)
    const requests = members.map((member) =>
      toRequest(schedule, member, { name: `asked for ${invocation}`, inMs: Number.NEGATIVE_INFINITY }),
    )
    if (requests.length > 0) runIds.push(...(await engine.enqueue(requests, null)).map(({ id }) => id))
    if (members.length < tenantsPerBatch) return runIds
    after = members.at(-1)!.tenantId
  }
}
