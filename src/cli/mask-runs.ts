/** Payloads and outputs as they are shown to whoever did not ask for the whole of them. */
import type { Platform } from '../platform.ts'
import type { Run } from '../task/run.ts'

/** A task that is not in the registry any more has no schema to tell what may be shown. */
export async function maskRuns<R extends Run>(platform: Platform, runs: readonly R[]): Promise<R[]> {
  // Here and not above, for it loads zod, which `--help` need not wait for.
  const { maskRun } = await import('../runs/mask.ts')
  const tasks = (await platform.registry()).list()
  return runs.map((run) => maskRun(run, tasks.find(({ id }) => id === run.taskId)?.schema ?? null))
}
