/** The schema that a run's payload is masked by. */
import type { PayloadSchema } from './payload.ts'
import type { TaskRegistry } from './registry.ts'

/** Null: the task is not in the registry any more. */
export function schemaOf(registry: TaskRegistry, taskId: string): PayloadSchema | null {
  return registry.list().find(({ id }) => id === taskId)?.schema ?? null
}
