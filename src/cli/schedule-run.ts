/** `cgk schedule:run`: the runs of a schedule, now and once. */
import { Command } from 'commander'
import { plural, printJson } from './print.ts'
import { record } from './record.ts'
import { fullScheduleId } from './schedule-id.ts'
import { withQueue } from './session.ts'

interface Options {
  tenant?: string
  all?: true
  invocation?: string
  json?: true
}

export const scheduleRun = new Command('schedule:run')
  .description('run a schedule now, once, paused or not')
  .argument('<schedule>', 'its task, or task:key')
  .option('--tenant <slug>', 'for this tenant')
  .option('--all', 'for every active tenant that has it')
  .option('--invocation <text>', 'asked again with the same one, it answers the same runs')
  .option('--json', 'print JSON: { runIds }')
  .action(async (schedule: string, { tenant, all, invocation, json }: Options, command: Command) => {
    if ((tenant === undefined) === (all === undefined)) {
      command.error('error: for whom? Give either --tenant <slug> or --all.')
    }
    await withQueue(async (jobs) => {
      const runIds = await jobs.schedules.run(schedule, {
        ...(tenant !== undefined && { tenantId: tenant }),
        ...(invocation !== undefined && { invocation }),
      })
      await record(jobs, {
        action: 'schedule.run',
        tenantId: tenant ?? null,
        subject: fullScheduleId(schedule),
        details: { runs: runIds.length },
      })
      if (json) return printJson({ runIds })
      if (tenant !== undefined) return console.log(runIds.join('\n'))
      console.log(`${plural(runIds.length, 'run')} of ${schedule}.`)
    })
  })
