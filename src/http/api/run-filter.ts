/** Which runs: the filter of runs as requests write it, in a query and in a body, and as the library takes it. */
import { z } from '@hono/zod-openapi'
import type { RunFilter } from '../../engines/engine.ts'
import type { ActionFilter } from '../../runs/bulk/action.ts'
import { runStates, type TriggerKind, triggerKinds } from '../../task/run.ts'
import { slug, text, time, uuid } from './schemas.ts'

const states = z.array(z.enum(runStates)).min(1)

const fields = {
  tenant: slug,
  task: text(100),
  tag: text(128),
  from: time.describe('Created at this time or later.'),
  to: time.describe('Created before this time.'),
  fingerprint: text(100).describe('Failed for what this failure group stands for.'),
  error: text(1_000).describe('A text in the message of the error.'),
  id: text(36).describe('The beginning of the id: 4 hexadecimal digits or more.'),
  triggeredBy: text(500)
    .regex(new RegExp(`^(${triggerKinds.join('|')})(:[\\s\\S]+)?$`), 'is none of KIND and KIND:REF')
    .describe(`${triggerKinds.join(', ')}; or one of these and what exactly: schedule:digest/daily:default.`),
  replayOf: uuid,
}

export const runFilterSchema = z
  .strictObject({ ...fields, state: states })
  .partial()
  .openapi('RunFilter')

/** `state=failed&state=expired` and `state=failed,expired` are the same. */
export const runQuery = runFilterSchema.shape
export const stateQuery = z
  .preprocess((given) => [given].flat().flatMap((each) => String(each).split(',')), states)
  .optional()
  .openapi({ type: 'array', items: { type: 'string', enum: [...runStates] } })

type GivenFilter = z.output<typeof runFilterSchema>

/** The filter as it is shown again: what the library keeps of it has been JSON, so its times are texts. */
export function showFilter(filter: ActionFilter): GivenFilter {
  const { tenantId, taskId, states, errorText, idPrefix, triggeredBy, from, to, tag, fingerprint, replayOf } =
    filter
  const by = triggeredBy && [triggeredBy.kind, triggeredBy.ref].filter((part) => part !== undefined)
  return given({
    tenant: tenantId,
    task: taskId,
    state: states && [...states],
    error: errorText,
    id: idPrefix,
    triggeredBy: by?.join(':'),
    from: from && new Date(from).toISOString(),
    to: to && new Date(to).toISOString(),
    tag,
    fingerprint,
    replayOf,
  })
}

export function readFilter(filter: GivenFilter): Omit<Partial<RunFilter>, 'limit' | 'after'> {
  const { tenant, task, state, error, id, triggeredBy, from, to, tag, fingerprint, replayOf } = filter
  return given({
    tenantId: tenant,
    taskId: task,
    states: state,
    errorText: error,
    idPrefix: id,
    triggeredBy: triggeredBy === undefined ? undefined : readTriggeredBy(triggeredBy),
    from: from === undefined ? undefined : new Date(from),
    to: to === undefined ? undefined : new Date(to),
    tag,
    fingerprint,
    replayOf,
  })
}

function readTriggeredBy(given: string): { kind: TriggerKind; ref?: string } {
  const [kind, ...ref] = given.split(':')
  return { kind: kind as TriggerKind, ...(ref.length > 0 && { ref: ref.join(':') }) }
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

/** Without what was left out. */
function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>
}
