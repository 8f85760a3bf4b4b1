/** `cgk tenant:suspend` and `cgk tenant:resume`, which undo each other. */
import { Command } from 'commander'
import { reasonText } from './arguments.ts'
import { record } from './record.ts'
import { withPlatform } from './session.ts'

export const tenantSuspend = new Command('tenant:suspend')
  .description('nothing of this tenant runs until it is resumed; what is queued waits')
  .argument('<slug>')
  .option('--reason <text>', 'why, for the audit log', reasonText)
  .action(async (slug: string, { reason }: { reason?: string }) => {
    await withPlatform(async (jobs) => {
      await jobs.suspendTenant(slug)
      await record(jobs, { action: 'tenant.suspend', tenantId: slug, reason })
      console.log(`Tenant ${slug} is suspended. Its runs wait; resume it with: cgk tenant:resume ${slug}`)
    })
  })

export const tenantResume = new Command('tenant:resume')
  .description('let a suspended tenant run again, with what has waited')
  .argument('<slug>')
  .action(async (slug: string) => {
    await withPlatform(async (jobs) => {
      await jobs.resumeTenant(slug)
      await record(jobs, { action: 'tenant.resume', tenantId: slug })
      console.log(`Tenant ${slug} is active.`)
    })
  })
