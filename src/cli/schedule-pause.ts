/** `cgk schedule:pause` and `cgk schedule:resume`, which undo each other. */
import { Command } from 'commander'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { fullScheduleId } from './schedule-id.ts'
import { withPlatform } from './session.ts'

interface Options {
  tenant?: string
  json?: true
}

export const schedulePause = new Command('schedule:pause')
  .description('a schedule makes no runs until it is resumed; times that pass meanwhile are not made up for')
  .argument('<schedule>', 'its task, or task:key')
  .option('--tenant <slug>', 'for this tenant; without, for all')
  .option('--json', 'print JSON: { schedule, tenantId, isPaused }')
  .action(async (schedule: string, { tenant, json }: Options) => {
    await withPlatform(async (jobs) => {
      await jobs.schedules.pause(schedule, forTenant(tenant))
      const subject = fullScheduleId(schedule)
      await record(jobs, { action: 'schedule.pause', tenantId: tenant ?? null, subject })
      if (json) return printJson({ schedule, tenantId: tenant ?? null, isPaused: true })
      const again = `cgk schedule:resume ${schedule}${tenant ? ` --tenant ${tenant}` : ''}`
      console.log(`${schedule} is paused for ${tenant ?? 'all tenants'}. Resume it with: ${again}`)
    })
  })

export const scheduleResume = new Command('schedule:resume')
  .description('let a paused schedule go on, from now')
  .argument('<schedule>', 'its task, or task:key')
  .option('--tenant <slug>', 'for this tenant, which it was paused for; without, for all')
  .option('--json', 'print JSON: { schedule, tenantId, isPaused }')
  .action(async (schedule: string, { tenant, json }: Options) => {
    await withPlatform(async (jobs) => {
      await jobs.schedules.resume(schedule, forTenant(tenant))
      const subject = fullScheduleId(schedule)
      await record(jobs, { action: 'schedule.resume', tenantId: tenant ?? null, subject })
      if (json) return printJson({ schedule, tenantId: tenant ?? null, isPaused: false })
      console.log(`${schedule} is no longer paused for ${tenant ?? 'all tenants'}.`)
    })
  })

function forTenant(tenantId: string | undefined): { tenantId?: string } {
  return tenantId === undefined ? {} : { tenantId }
}
