/** `cgk credential:delete`: runs that need the credential are held from then on. */
import { Command } from 'commander'
import type { ServiceName } from '../services/registry.ts'
import { record } from './record.ts'
import { withPlatform } from './session.ts'

export const credentialDelete = new Command('credential:delete')
  .description("delete a tenant's credential; runs that need it are held until it is set again")
  .argument('<tenant>')
  .argument('<service>')
  .argument('<key>')
  .action(async (tenant: string, service: string, key: string) => {
    await withPlatform(async (jobs) => {
      const deleted = await jobs.deleteCredential(tenant, service as ServiceName, key)
      if (deleted) {
        const details = { keys: key }
        await record(jobs, { action: 'credential.delete', tenantId: tenant, subject: service, details })
      }
      console.log(deleted ? `Deleted ${service} ${key} of ${tenant}.` : `${tenant} has no ${service} ${key}.`)
      if (!deleted) process.exitCode = 1
    })
  })
