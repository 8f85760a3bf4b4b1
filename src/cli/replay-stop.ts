/** `cgk replay:stop`: what has been done stays done, what waits is left alone. */
import { Command } from 'commander'
import { cliActor } from './actor.ts'
import { countsText } from './bulk-text.ts'
import { printJson } from './print.ts'
import { withQueue } from './session.ts'

export const replayStop = new Command('replay:stop')
  .description('stop a replay or a cancel of many runs half-way; exit 1 if it had ended already')
  .argument('<id>', 'as replay:list names it')
  .option('--json', 'print JSON')
  .action(async (id: string, { json }: { json?: true }) => {
    await withQueue(async ({ bulkActions }) => {
      const before = await bulkActions.get(id)
      const action = await bulkActions.stop(id, { by: cliActor() })
      const stopped = before.finishedAt === null && action.state === 'stopped'
      if (!stopped) process.exitCode = 1
      if (json) return printJson(action)
      console.log(`${stopped ? 'Stopped' : `It had ended already (${action.state})`}: ${countsText(action)}.`)
    })
  })
