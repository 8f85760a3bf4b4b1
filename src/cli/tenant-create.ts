/** `cgk tenant:create`: schema, role, tables and row, all or nothing. A tenant's name gives a slug where none is typed. */
import { Command } from 'commander'
import { readMigrations } from '../db/migrations/files.ts'
import { TenantExistsError } from '../errors.ts'
import { parseTenantName } from '../tenants/name.ts'
import { parseSlug, schemaName, slugFromName } from '../tenants/slug.ts'
import { readTenant } from '../tenants/tenant.ts'
import { parseTimezone } from '../tenants/timezone.ts'
import { plural } from './print.ts'
import { record } from './record.ts'
import { withDatabase, withPlatform } from './session.ts'
import { plain } from './table.ts'

interface Options {
  name?: string
  timezone?: string
  dryRun?: true
}

export const tenantCreate = new Command('tenant:create')
  .description('create a tenant')
  .argument('[slug]', 'its id everywhere, for example my_brand; made from --name when left out')
  .option('--name <text>', 'what people call it; the slug by default')
  .option('--timezone <name>', 'IANA name; UTC by default')
  .option('--dry-run', 'check, say what would be made, make nothing')
  .action(async (typed: string | undefined, { name, timezone, dryRun }: Options, command: Command) => {
    if (typed === undefined && name === undefined)
      command.error('error: give a slug, or a --name to make one of')
    const slug = parseSlug(typed ?? slugFromName(name!))
    const options = { ...(name !== undefined && { name }), ...(timezone !== undefined && { timezone }) }
    if (dryRun) return await describe(slug, options)
    await withPlatform(async (jobs) => {
      const tenant = await jobs.createTenant(slug, options)
      await record(jobs, { action: 'tenant.create', tenantId: slug })
      console.log(
        `Created tenant ${tenant.slug} ("${plain(tenant.name)}", ${tenant.timezone}) in schema ${schemaName(slug)}.`,
      )
    })
  })

/** On the database as it is: creating would migrate the platform first, and this changes nothing. */
async function describe(slug: string, { name: given, timezone = 'UTC' }: Options): Promise<void> {
  const name = parseTenantName(given, slug)
  const zone = parseTimezone(timezone)
  await withDatabase(async (database, { migrationsDir }) => {
    const existing = await readTenant(database, slug).catch((error) => {
      if (error?.code === '42P01') return null // Never migrated, so it has no tenants.
      throw error
    })
    if (existing) throw new TenantExistsError(slug)
    const files = await readMigrations(migrationsDir, 'tenant')
    console.log(
      `Would create tenant ${slug} ("${plain(name)}", ${zone}): schema ${schemaName(slug)} with ${plural(files.length, 'migration')} (${files.map((file) => file.name).join(', ')}), its role, and its row in public.organizations. Nothing was made.`,
    )
  })
}
