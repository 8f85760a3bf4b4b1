/** What has become of a replay's new runs, asked of the engine. */
import type { Database } from '../../db/database.ts'
import type { Engine } from '../../engines/engine.ts'
import { type RunState, runStates } from '../../task/run.ts'

export type Results = Record<RunState, number>

const runsPerPage = 1_000

export async function countResults({ sql }: Database, engine: Engine, id: string): Promise<Results> {
  const results = Object.fromEntries(runStates.map((state) => [state, 0])) as Results
  let after = 0
  for (;;) {
    const { rows } = await sql<{ number: number; newRunId: string }>`
      SELECT number, new_run_id AS "newRunId" FROM public.platform_bulk_action_runs
      WHERE action_id = ${id} AND number > ${after} AND state = 'done' AND new_run_id IS NOT NULL
      ORDER BY number LIMIT ${runsPerPage}`
    if (rows.length === 0) return results
    for (const { state } of await engine.getMany(rows.map(({ newRunId }) => newRunId))) results[state] += 1
    after = rows.at(-1)!.number
  }
}
