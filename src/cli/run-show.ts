/** `cgk run:show`: one run, with its failed attempts. */
import { Command } from 'commander'
import { maskRun } from '../runs/mask.ts'
import { schemaOf } from '../task/schema-of.ts'
import { printJson } from './print.ts'
import { printRun } from './run-text.ts'
import { withQueue } from './session.ts'

export const runShow = new Command('run:show')
  .description('show a run: state, payload, output, error, failed attempts')
  .argument('<id>', 'id of the run')
  .option('--reveal', 'payload and output whole; otherwise what is marked in the schema is masked')
  .option('--json', 'print JSON')
  .action(async (id: string, { reveal, json }: { reveal?: true; json?: true }) => {
    await withQueue(async ({ runs }, platform) => {
      const whole = await runs.get(id)
      const run = reveal ? whole : maskRun(whole, schemaOf(await platform.registry(), whole.taskId))
      if (json) printJson(run)
      else printRun(run)
    })
  })
