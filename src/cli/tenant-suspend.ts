/** `cgk tenant:suspend` and `cgk tenant:resume`, which undo each other. */
import { Command } from 'commander'
import { withPlatform } from './session.ts'

export const tenantSuspend = new Command('tenant:suspend')
  .description('nothing of this tenant runs until it is resumed; what is queued waits')
  .argument('<slug>')
  .action(async (slug: string) => {
    await withPlatform(async ({ suspendTenant }) => {
      await suspendTenant(slug)
      console.log(`Tenant ${slug} is suspended. Its runs wait; resume it with: cgk tenant:resume ${slug}`)
    })
  })

export const tenantResume = new Command('tenant:resume')
  .description('let a suspended tenant run again, with what has waited')
  .argument('<slug>')
  .action(async (slug: string) => {
    await withPlatform(async ({ resumeTenant }) => {
      await resumeTenant(slug)
      console.log(`Tenant ${slug} is active.`)
    })
  })
