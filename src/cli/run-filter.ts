/** How runs are picked out on the command line, the same for every command that lists, replays or cancels them. */
import type { Command } from 'commander'
import type { ActionFilter } from '../runs/bulk/action.ts'
import { type RunState, type TriggerKind, triggerKinds } from '../task/run.ts'
import { list, timeAgo } from './arguments.ts'
import { given } from './given.ts'

export interface RunFilterOptions {
  tenant?: string
  task?: string
  state?: RunState[]
  tag?: string
  since?: Date
  until?: Date
  error?: string
  failure?: string
  id?: string
  triggeredBy?: string
  replayOf?: string
}

export function addRunFilter(command: Command): Command {
  return command
    .option('--tenant <slug>', 'only of this tenant')
    .option('--task <id>', 'only of this task')
    .option('--state <list>', 'only in these states: failed,retrying', list)
    .option('--tag <text>', 'only with this tag')
    .option('--since <time>', 'only created at 2026-11-23T13:00:00Z or later; 2h: two hours ago', timeAgo)
    .option('--until <time>', 'only created before', timeAgo)
    .option('--error <text>', 'only with this text in the message of the error')
    .option('--failure <failure>', 'only of this failure, as failure:list names it')
    .option('--id <prefix>', 'only with an id that begins so; 4 digits or more')
    .option('--triggered-by <kind[:ref]>', `only by ${triggerKinds.join(', ')}; or by that one of them`)
    .option('--replay-of <id>', 'only replays of this run')
}

/** What is not given is not in it. The values are checked by the platform. */
export function toRunFilter(options: RunFilterOptions): ActionFilter {
  const { tenant, task, state, tag, since, until, error, failure, id, triggeredBy, replayOf } = options
  return given({
    ...{ tenantId: tenant, taskId: task, states: state, tag, from: since, to: until },
    ...{ errorText: error, fingerprint: failure, idPrefix: id, replayOf },
    triggeredBy: triggeredBy === undefined ? undefined : readTriggeredBy(triggeredBy),
  })
}

function readTriggeredBy(text: string): NonNullable<ActionFilter['triggeredBy']> {
  const [, kind = '', ref] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? []
  return { kind: kind as TriggerKind, ...(ref !== undefined && { ref }) }
}
