/**
 * `cgk migrate`: the platform's tables, the queue's, then every tenant's, side by side. One tenant's failure is
 * reported and stops nobody else.
 */
import { Command, Option } from 'commander'
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import type { TenantMigration } from '../db/migrations/tenants.ts'
import { MigrationError } from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'
import { atLeastOne } from './arguments.ts'
import { stopAsked } from './interrupt.ts'
import { durationText, plural } from './print.ts'
import { startProgress } from './progress.ts'
import { migrateQueueSchema, readQueueSchema } from './queue-schema.ts'
import { withDatabase } from './session.ts'
import { plain } from './table.ts'

interface Options {
  publicOnly?: true
  tenant?: string
  all?: true
  jobs: number
  dryRun?: boolean
}

interface Work {
  database: Database
  config: Config
  dryRun: boolean
}

export const migrate = new Command('migrate')
  .description('apply what is pending; exit 1 when something failed')
  .addOption(new Option('--public-only', "only the platform's own tables").conflicts(['tenant', 'all']))
  .addOption(new Option('--tenant <slug>', 'only this tenant').conflicts(['publicOnly', 'all']))
  .addOption(
    new Option('--all', 'the platform and every tenant; the default').conflicts(['publicOnly', 'tenant']),
  )
  .option('--jobs <n>', 'tenants at once', atLeastOne, 4)
  .option('--dry-run', 'only say what would be applied')
  .action(async ({ publicOnly, tenant, jobs, dryRun = false }: Options) => {
    if (tenant !== undefined) parseSlug(tenant)
    await withDatabase(
      async (database, config) => {
        const work = { database, config, dryRun }
        if (tenant === undefined) await migratePlatform(work)
        else await refuseOldPlatform(work)
        if (!publicOnly) await migrateTenants(work, jobs, tenant)
      },
      { poolSize: Math.max(2, jobs) },
    )
  })

async function migratePlatform({ database, config, dryRun }: Work): Promise<void> {
  const { migratePublic } = await import('../db/migrations/public.ts')
  const { files } = await migratePublic(database, config.migrationsDir, { dryRun })
  console.log(resultLine('public', appliedText(files, dryRun)))
  const queue = await readQueueSchema(database, config)
  if (!queue) return
  if (!dryRun) await migrateQueueSchema(database, config)
  const change =
    queue.version === null ? `make version ${queue.wanted}` : `upgrade ${queue.version} to ${queue.wanted}`
  const done =
    queue.version === null
      ? `made, version ${queue.wanted}`
      : `upgraded from ${queue.version} to ${queue.wanted}`
  const text = queue.version === queue.wanted ? 'up to date' : dryRun ? `would ${change}` : done
  console.log(resultLine(queue.name, text))
}

/** A tenant's tables may refer to the platform's, so those come first. */
async function refuseOldPlatform({ database, config }: Work): Promise<void> {
  const { migratePublic } = await import('../db/migrations/public.ts')
  const { files } = await migratePublic(database, config.migrationsDir, { dryRun: true })
  if (files.length === 0) return
  throw new MigrationError(
    `The platform's own tables come first, and ${plural(files.length, 'migration')} of theirs ${files.length === 1 ? 'is' : 'are'} pending. Run: cgk migrate --public-only`,
  )
}

async function migrateTenants(
  { database, config, dryRun }: Work,
  jobs: number,
  tenant?: string,
): Promise<void> {
  const { migrateTenants: migrateAll } = await import('../db/migrations/tenants.ts')
  const total = await countTenantsToMigrate(database, config, tenant)
  // Tenants are rows of a table that a dry run has not made.
  if (total === null) return console.log('No tenants yet.')
  const progress = startProgress(total, 'tenants')
  try {
    const { upToDate, migrated, failed } = await migrateAll(database, config.migrationsDir, {
      jobs,
      dryRun,
      ...(tenant !== undefined && { only: [tenant] }),
      onResult: (result) => {
        // After Ctrl-C the connections are gone, and every tenant that is left would be said to have failed.
        if (!stopAsked().aborted) progress.step(tenantLine(result, dryRun))
      },
    })
    progress.stop()
    const changed = `${migrated} ${dryRun ? 'to migrate' : 'migrated'}`
    console.log(`Tenants: ${changed}, ${upToDate} up to date, ${failed.length} failed.`)
    if (failed.length > 0) process.exitCode = 1
  } finally {
    progress.stop()
  }
}

/** Null in a database without the platform's tables. */
async function countTenantsToMigrate(
  database: Database,
  config: Config,
  tenant?: string,
): Promise<number | null> {
  const { migrationStatus } = await import('../db/migrations/status.ts')
  const [platform, ...tenants] = await migrationStatus(database, config.migrationsDir)
  if (platform!.applied.length === 0) return null
  return tenants
    .filter(({ slug }) => tenant === undefined || slug === tenant)
    .filter(({ pending, drifted, intact }) => pending.length > 0 || drifted.length > 0 || !intact).length
}

function tenantLine(
  { schema, files, repaired, error, durationMs }: TenantMigration,
  dryRun: boolean,
): string {
  if (error) return resultLine(schema, `FAILED: ${plain(error.message)}`)
  const applied =
    repaired && files.length === 0 ? 'schema, role or grants made again' : appliedText(files, dryRun)
  return resultLine(schema, dryRun ? applied : `${applied} (${durationText(durationMs)})`)
}

function appliedText(files: readonly string[], dryRun: boolean): string {
  if (files.length === 0) return 'up to date'
  return `${dryRun ? 'would apply' : 'applied'} ${files.join(', ')}`
}

function resultLine(schema: string, text: string): string {
  return `${schema.padEnd(20)}  ${text}`
}
