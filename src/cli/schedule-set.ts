/** `cgk schedule:set`: what one tenant has otherwise than the task says, or besides. */
import { Command } from 'commander'
import type { ScheduleSettings } from '../schedules/settings.ts'
import { jsonObject } from './arguments.ts'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { fullScheduleId } from './schedule-id.ts'
import { nextText, scheduleColumns } from './schedule-text.ts'
import { withPlatform } from './session.ts'
import { formatTable } from './table.ts'

interface Options {
  cron?: string
  timezone?: string
  payload?: Record<string, unknown>
  extra?: true
  reset?: true
  json?: true
}

export const scheduleSet = new Command('schedule:set')
  .description('change a schedule for one tenant; what is not given stays as it is')
  .argument('<tenant>')
  .argument('<schedule>', 'its task, or task:key')
  .option('--cron <text>', "minute, hour, day of month, month, day of week: '30 2 * * *'")
  .option('--timezone <name>', "an IANA name, or tenant for the tenant's own")
  .option('--payload <json>', "instead of the task's, without tenantId", jsonObject)
  .option('--extra', 'one that the task does not declare, besides those it does')
  .option('--reset', 'as the task says again; an extra one is gone')
  .option('--json', 'print JSON')
  .addHelpText(
    'after',
    `
Examples: cgk schedule:set rawdog orders/reconcile --cron '0 */2 * * *'
          cgk schedule:set rawdog orders/reconcile:wide --extra --cron '0 4 * * *' --payload '{"lookbackHours":48}'`,
  )
  .action(async (tenant: string, schedule: string, options: Options, command: Command) => {
    const { reset, extra, json, ...settings } = options
    if (reset && (extra || Object.keys(settings).length > 0)) command.error('error: --reset goes alone.')
    if (!reset && Object.keys(settings).length === 0) {
      command.error('error: what is to change? Give --cron, --timezone, --payload or --reset.')
    }
    await withPlatform(async (jobs) => {
      if (reset) {
        const changed = await jobs.schedules.reset(tenant, schedule)
        if (changed) {
          const subject = fullScheduleId(schedule)
          await record(jobs, { action: 'schedule.reset', tenantId: tenant, subject })
        }
        if (json) return printJson({ schedule, tenantId: tenant, changed })
        const was = changed ? 'has no settings of its own any more' : 'had no settings of its own'
        return console.log(`${schedule} of ${tenant} ${was}.`)
      }
      const given: ScheduleSettings & { extra?: boolean } = { ...settings, ...(extra && { extra }) }
      const listed = await jobs.schedules.set(tenant, schedule, given)
      const details = { cron: listed.cron, timezone: listed.timezone, extra: extra ?? false }
      await record(jobs, { action: 'schedule.set', tenantId: tenant, subject: listed.id, details })
      if (json) return printJson(listed)
      console.log(formatTable([listed], scheduleColumns))
      console.log(
        `\nNext:\n${nextText(listed)
          .map((line) => `  ${line}`)
          .join('\n')}`,
      )
    })
  })
