/** `cgk credential:list`: what a tenant has; never the values. */
import { Command } from 'commander'
import type { CredentialInfo } from '../credentials/store.ts'
import { printJson, timeText } from './print.ts'
import { withPlatform } from './session.ts'
import { type Column, formatTable } from './table.ts'

export const credentialList = new Command('credential:list')
  .description("a tenant's credentials, without their values")
  .argument('<tenant>')
  .option('--json', 'print JSON')
  .action(async (tenant: string, { json }: { json?: true }) => {
    await withPlatform(async ({ listCredentials }) => {
      const credentials = await listCredentials(tenant)
      if (json) printJson(credentials)
      else console.log(credentials.length === 0 ? 'No credentials.' : formatTable(credentials, columns))
    })
  })

const columns: Column<CredentialInfo>[] = [
  { title: 'service', value: ({ service }) => service },
  { title: 'key', value: ({ key }) => key },
  { title: 'value', value: ({ lastFour }) => (lastFour === null ? '…' : `…${lastFour}`) },
  { title: 'status', value: ({ status }) => status },
  { title: 'set', value: ({ updatedAt }) => timeText(updatedAt) },
  { title: 'verified', value: ({ lastVerifiedAt }) => timeText(lastVerifiedAt) },
  { title: 'error', value: ({ lastError }) => lastError ?? '', mayCut: true },
]
