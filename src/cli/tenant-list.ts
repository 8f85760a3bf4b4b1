/** `cgk tenant:list`: every tenant, by slug. */
import { Command } from 'commander'
import type { Tenant } from '../tenants/tenant.ts'
import { printJson, timeText } from './print.ts'
import { withPlatform } from './session.ts'
import { type Column, formatTable } from './table.ts'

export const tenantList = new Command('tenant:list')
  .description('list the tenants')
  .option('--json', 'print JSON')
  .action(async ({ json }: { json?: true }) => {
    await withPlatform(async ({ listTenants }) => {
      const tenants = await listTenants()
      if (json) printJson(tenants)
      else
        console.log(
          tenants.length === 0
            ? 'No tenants. Make one: cgk tenant:create my_brand'
            : formatTable(tenants, columns),
        )
    })
  })

const columns: Column<Tenant>[] = [
  { title: 'tenant', value: ({ slug }) => slug },
  { title: 'name', value: ({ name }) => name, mayCut: true },
  { title: 'status', value: ({ status }) => status },
  { title: 'timezone', value: ({ timezone }) => timezone },
  { title: 'created', value: ({ createdAt }) => timeText(createdAt) },
]
