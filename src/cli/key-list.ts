/** `cgk key:list`: which keys there are, by their first characters. */
import { Command } from 'commander'
import type { ApiKeyInfo } from '../auth/api-keys.ts'
import { UnknownTenantError } from '../errors.ts'
import { printJson, timeText } from './print.ts'
import { type Column, formatTable } from './table.ts'
import { withPeople } from './with-people.ts'

export const keyList = new Command('key:list')
  .description('list the API keys, without the keys themselves')
  .option('--tenant <slug>', 'of this tenant')
  .option('--json', 'print JSON')
  .action(async ({ tenant, json }: { tenant?: string; json?: true }) => {
    await withPeople(async ({ listApiKeys }, auth, { directory }) => {
      if (tenant !== undefined && !(await directory.find(tenant))) throw new UnknownTenantError(tenant)
      const keys = await listApiKeys(auth, { tenantId: tenant })
      if (json) printJson(keys)
      else console.log(keys.length === 0 ? 'No keys.' : formatTable(keys, columns))
    })
  })

const columns: Column<ApiKeyInfo>[] = [
  { title: 'key', value: ({ prefix }) => `${prefix}…` },
  { title: 'name', value: ({ name }) => name, mayCut: true },
  { title: 'tenant', value: ({ tenantId }) => tenantId ?? '(platform)' },
  { title: 'scopes', value: ({ scopes }) => scopes.join(' '), mayCut: true },
  { title: 'last used', value: ({ lastUsedAt }) => timeText(lastUsedAt) },
  { title: 'valid', value: validity },
]

function validity({ revokedAt, expiresAt }: ApiKeyInfo): string {
  if (revokedAt) return `revoked ${timeText(revokedAt)}`
  return expiresAt ? `until ${timeText(expiresAt)}` : 'always'
}
