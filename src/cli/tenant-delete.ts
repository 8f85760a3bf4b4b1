/** `cgk tenant:delete`: the tenant and everything it has. Without --yes it only says what that would be. */
import { Command } from 'commander'
import { UnknownTenantError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import { parseSlug, schemaName } from '../tenants/slug.ts'
import { reasonText } from './arguments.ts'
import { plural } from './print.ts'
import { record } from './record.ts'
import { withPlatform } from './session.ts'

interface Options {
  yes?: true
  force?: boolean
  reason?: string
}

export const tenantDelete = new Command('tenant:delete')
  .description('delete a tenant: its schema with all rows, its role, its runs')
  .argument('<slug>')
  .option('--yes', 'really do it; without it, say what would be deleted and exit 1')
  .option('--force', 'also when runs are open: they are lost')
  .option('--reason <text>', 'why, for the audit log', reasonText)
  .action(async (slug: string, { yes, force = false, reason }: Options) => {
    await withPlatform(async (jobs, platform) => {
      if (yes) {
        await jobs.deleteTenant(slug, { force })
        await record(jobs, { action: 'tenant.delete', tenantId: slug, reason, details: { force } })
        return console.log(`Deleted tenant ${slug}.`)
      }
      console.log(await describe(platform, parseSlug(slug)))
      process.exitCode = 1
    })
  })

async function describe(platform: Platform, slug: string): Promise<string> {
  const { database, directory, tenants } = await platform.ready()
  if (!(await directory.find(slug))) throw new UnknownTenantError(slug)
  const open = await tenants.work.countOpen(slug)
  const { rows } = await database.query<{ tables: number; size: string }>(
    `SELECT count(*)::int AS tables, pg_size_pretty(coalesce(sum(pg_total_relation_size(oid)), 0)) AS size
       FROM pg_catalog.pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace($1)`,
    [schemaName(slug)],
  )
  const { tables, size } = rows[0]!
  return [
    `This would delete tenant ${slug} for good:`,
    `  the schema ${schemaName(slug)} with ${plural(tables, 'table')} (${size}), and its role`,
    `  its runs and their history; ${open} of them ${open === 1 ? 'is' : 'are'} open`,
    `Nothing was deleted. To do it, add --yes${open > 0 ? ' --force, and the open runs are lost.' : '.'}`,
  ].join('\n')
}
