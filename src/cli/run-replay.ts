/** `cgk run:replay`: new runs of old ones, one or many, once somebody has seen which and said why. */
import { Command } from 'commander'
import type { Edit, Selection } from '../runs/bulk/action.ts'
import type { JsonValue } from '../task/json.ts'
import { jsonObject } from './arguments.ts'
import { carryOut } from './bulk-action.ts'
import { addBulkOptions, type BulkOptions, readSelection } from './bulk-options.ts'

interface Options extends BulkOptions {
  payload?: Record<string, JsonValue>
  patch?: Record<string, JsonValue>
}

export const runReplay = addBulkOptions(new Command('run:replay'))
  .description(
    'replay runs: shows which, asks, and does it; filters find those that failed, unless --state says which',
  )
  .option('--payload <json>', 'of one run: this payload instead', jsonObject)
  .option(
    '--patch <json>',
    'change the payloads by this JSON merge patch: {"field":"new","other":null}',
    jsonObject,
  )
  .addHelpText(
    'after',
    `
Examples: cgk run:replay --failure 3f0c9a7b1d2e4f5a6b7c
          cgk run:replay --tenant rawdog --since 2h --yes --reason 'Stripe is back'
          cgk run:replay 0197a3c2-... --patch '{"currency":"EUR"}'`,
  )
  .action(async (ids: string[], options: Options, command: Command) => {
    const { payload, patch } = options
    if (payload && patch) command.error('error: give --payload or --patch, not both')
    if (payload && ids.length !== 1)
      command.error('error: a --payload is of one run: give its id; for many, --patch')
    const edit: Edit | null = payload ? { payload } : patch ? { patch } : null
    const selection = onlyFailed(readSelection(ids, options, command))
    await carryOut(selection, options, command, ({ bulkActions }, by) =>
      bulkActions.previewReplay(selection, { by, edit }),
    )
  })

/** What has completed is done again only where somebody says so. */
function onlyFailed(selection: Selection): Selection {
  return 'filter' in selection ? { filter: { states: ['failed'], ...selection.filter } } : selection
}
