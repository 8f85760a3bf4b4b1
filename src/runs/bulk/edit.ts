/** What a replay's new run gets as its payload, checked by the task as it is now. */
import { InvalidPayloadError, JobsError } from '../../errors.ts'
import type { AnyTask } from '../../task/define.ts'
import type { Dispatcher } from '../../task/dispatcher.ts'
import type { JsonValue } from '../../task/json.ts'
import type { Run } from '../../task/run.ts'
import { acceptReplay } from '../replay.ts'
import type { Edit } from './action.ts'
import { mergePatch } from './merge-patch.ts'

export type Accepted = { task: AnyTask; input: JsonValue } | { problem: string }

/** What is wrong with one run's payload is that run's matter; what is wrong with all tasks is not. */
export async function acceptEdited(run: Run, edit: Edit | null, dispatcher: Dispatcher): Promise<Accepted> {
  const registry = await dispatcher.registry()
  try {
    const task = registry.get(run.taskId)
    return { task, input: await acceptReplay(task, run, edited(run.payload, edit), dispatcher) }
  } catch (error) {
    if (error instanceof InvalidPayloadError) return { problem: describe(error) }
    if (error instanceof JobsError) return { problem: error.message }
    // The schema itself threw. Its message may hold anything, so it is not repeated.
    const what = error instanceof Error ? error.name : 'something'
    return { problem: `The payload's schema threw ${what} instead of refusing the payload. Mend the schema.` }
  }
}

function edited(payload: JsonValue, edit: Edit | null): JsonValue {
  if (!edit) return payload
  return 'payload' in edit ? edit.payload : mergePatch(payload, edit.patch)
}

/** By path and rule; values of the payload are in no issue. */
function describe({ issues }: InvalidPayloadError): string {
  return issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ')
}
