/** `cgk run:cancel`: ends open runs; those that run get their signal aborted. One by its id at once, many after a look. */
import { Command } from 'commander'
import { carryOut } from './bulk-action.ts'
import { addBulkOptions, type BulkOptions, readSelection } from './bulk-options.ts'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { withQueue } from './session.ts'

export const runCancel = addBulkOptions(new Command('run:cancel'))
  .description('cancel open runs: one by its id at once; of many it shows which, and asks')
  .action(async (ids: string[], options: BulkOptions, command: Command) => {
    const selection = readSelection(ids, options, command)
    const [id, ...others] = ids
    if (id !== undefined && others.length === 0) return await cancelOne(id, options)
    await carryOut(selection, options, command, ({ bulkActions }, by) =>
      bulkActions.previewCancel(selection, { by }),
    )
  })

async function cancelOne(id: string, { reason, json }: BulkOptions): Promise<void> {
  await withQueue(async (jobs) => {
    const cancelled = await jobs.runs.cancel(id)
    const run = await jobs.runs.get(id)
    if (cancelled) {
      await record(jobs, { action: 'run.cancel', tenantId: run.tenantId, subject: run.id, reason })
    } else process.exitCode = 1
    if (json) return printJson({ id: run.id, cancelled, state: run.state })
    console.log(cancelled ? `Cancelled run ${id}.` : `Run ${id} had ended already: ${run.state}.`)
  })
}
