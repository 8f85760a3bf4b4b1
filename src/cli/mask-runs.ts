/** Payloads and outputs as they are shown to whoever did not ask for the whole of them. */
import type { Platform } from '../platform.ts'
import type { Run } from '../task/run.ts'
import { schemaOf } from '../task/schema-of.ts'

export async function maskRuns<R extends Run>(platform: Platform, runs: readonly R[]): Promise<R[]> {
  // Here and not above, for it loads zod, which `--help` need not wait for.
  const { maskRun } = await import('../runs/mask.ts')
  const registry = await platform.registry()
  return runs.map((run) => maskRun(run, schemaOf(registry, run.taskId)))
}
