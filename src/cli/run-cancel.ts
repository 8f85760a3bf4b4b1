/** `cgk run:cancel`: ends an open run; one that runs gets its signal aborted. */
import { Command } from 'commander'
import { withQueue } from './session.ts'

export const runCancel = new Command('run:cancel')
  .description('cancel an open run; exit 1 if it had ended already')
  .argument('<id>', 'id of the run')
  .action(async (id: string) => {
    await withQueue(async ({ runs }) => {
      if (await runs.cancel(id)) return console.log(`Cancelled run ${id}.`)
      const { state } = await runs.get(id)
      console.log(`Run ${id} had ended already: ${state}.`)
      process.exitCode = 1
    })
  })
