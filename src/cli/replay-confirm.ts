/** `cgk replay:confirm`: does what a preview has shown, for exactly the runs that it has shown. */
import { Command } from 'commander'
import { confirmAndDo } from './bulk-action.ts'
import { addDoOptions, type DoOptions } from './bulk-options.ts'
import { withQueue } from './session.ts'

const command = new Command('replay:confirm')
  .description('do what a preview of a replay or a cancel has shown, or go on with one that was left')
  .argument('<id>', 'as the preview and replay:list name it')
  .requiredOption('--reason <text>', 'why, for the audit log')

export const replayConfirm = addDoOptions(command).action(
  async (id: string, options: DoOptions & { reason: string }) => {
    await withQueue((jobs, platform) => confirmAndDo(id, options, jobs, platform))
  },
)
