/** `cgk run:show`: one run, with its failed attempts. */
import { Command } from 'commander'
import { printJson } from './print.ts'
import { printRun } from './run-text.ts'
import { withQueue } from './session.ts'

export const runShow = new Command('run:show')
  .description('show a run: state, payload, output, error, failed attempts')
  .argument('<id>', 'id of the run')
  .option('--json', 'print JSON')
  .action(async (id: string, { json }: { json?: true }) => {
    await withQueue(async ({ runs }) => {
      const run = await runs.get(id)
      if (json) printJson(run)
      else printRun(run)
    })
  })
