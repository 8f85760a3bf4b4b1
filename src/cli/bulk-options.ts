/** What `run:replay` and `run:cancel` take alike: which runs, and how it is confirmed and done. */
import type { Command } from 'commander'
import type { Selection } from '../runs/bulk/action.ts'
import { atLeastOne } from './arguments.ts'
import { addRunFilter, type RunFilterOptions, toRunFilter } from './run-filter.ts'

export interface BulkOptions extends RunFilterOptions, DoOptions {
  reason?: string
  yes?: true
}

export interface DoOptions {
  rate?: number
  detach?: true
  json?: true
}

export function addBulkOptions(command: Command): Command {
  const filtered = addRunFilter(command.argument('[ids...]', 'ids of runs; or give filters'))
    .option('--reason <text>', 'why, for the audit log; asked for at a terminal')
    .option('--yes', 'do not ask; needs --reason')
  return addDoOptions(filtered).addHelpText(
    'after',
    `
Exit codes: 0 all done, or nothing to do; 1 some runs were refused or left out; 2 not confirmed, nothing was done.`,
  )
}

/** How it is done once it is confirmed. */
export function addDoOptions(command: Command): Command {
  return command
    .option('--rate <n>', 'runs a second, at most; 200 by default', atLeastOne)
    .option('--detach', 'leave it to workers or cgk serve instead of doing it here')
    .option('--json', 'print JSON: the preview, or what became of it')
}

/** Ids or filters; a slip of the pen must not mean all runs. */
export function readSelection(ids: readonly string[], options: BulkOptions, command: Command): Selection {
  const filter = toRunFilter(options)
  const filtered = Object.keys(filter).length > 0
  if (ids.length > 0 && filtered) command.error('error: give ids or filters, not both')
  if (ids.length === 0 && !filtered) command.error('error: which runs? Give ids, or filters like --failure')
  return ids.length > 0 ? { runIds: [...new Set(ids)] } : { filter }
}
