/** Creating a tenant: schema, role, tables and row in one transaction, so there is never half a tenant. */
import { lockSchema } from '../db/migrations/apply.ts'
import { readMigrations } from '../db/migrations/files.ts'
import { needsPublicTables } from '../db/migrations/ledger.ts'
import { buildTenant } from '../db/migrations/tenant.ts'
import { oneFlight, platformTransaction } from '../db/platform-transaction.ts'
import { readServer } from '../db/roles.ts'
import { ConfigError, DatabaseSetupError, TenantExistsError } from '../errors.ts'
import { parseTenantName } from './name.ts'
import { parseSlug, schemaName } from './slug.ts'
import { type Tenant, type TenantDeps, tenantChannel, tenantColumns } from './tenant.ts'
import { parseTimezone } from './timezone.ts'

export interface CreateTenantOptions {
  /** What people call the tenant, at most 200 characters; its slug by default. */
  name?: string | undefined
  /** IANA name; UTC by default. Schedules in tenant time follow it. */
  timezone?: string | undefined
}

/**
 * All or nothing. Of two that create one slug at once, the second waits for the first and is refused.
 *
 * @throws InvalidTenantSlugError, InvalidTenantNameError and ConfigError before any SQL; TenantExistsError; DatabaseSetupError when the schema is there without a tenant;
 * MigrationError when a tenant migration fails.
 */
export async function createTenant(
  deps: TenantDeps,
  slug: string,
  options: CreateTenantOptions = {},
): Promise<Tenant> {
  const tenantId = parseSlug(slug)
  const { name, timezone = 'UTC' } = checkOptions(options)
  const row = [tenantId, parseTenantName(name, tenantId), parseTimezone(timezone)]
  const files = await readMigrations(deps.migrationsDir, 'tenant')
  const server = await readServer(deps.database)
  const tenant = await platformTransaction(deps.database, async (client) => {
    const [, inserted, schema] = await oneFlight([
      // The lock comes before the row, as in every other change of a tenant.
      lockSchema(client, schemaName(tenantId)),
      needsPublicTables(
        client.query<Tenant>(
          `INSERT INTO public.organizations (slug, name, timezone, status) VALUES ($1, $2, $3, 'active')
           ON CONFLICT (slug) DO NOTHING RETURNING ${tenantColumns}`,
          row,
        ),
      ),
      client.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [schemaName(tenantId)]),
    ])
    const created = inserted.rows[0]
    if (!created) throw new TenantExistsError(tenantId)
    if (schema.rowCount) throw straySchema(tenantId)
    await buildTenant(client, server, tenantId, files)
    await client.query('SELECT pg_notify($1, $2)', [tenantChannel, tenantId])
    return created
  })
  deps.directory.invalidate(tenantId)
  return tenant
}

const known: readonly string[] = ['name', 'timezone'] satisfies (keyof CreateTenantOptions)[]

function checkOptions(options: CreateTenantOptions): CreateTenantOptions {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError('The options of createTenant() must be an object like { name, timezone }.')
  }
  const unknown = Object.keys(options).find((key) => !known.includes(key))
  if (unknown !== undefined) throw new ConfigError(`createTenant() has no option ${unknown}.`)
  return options
}

/** Taking it over could give one customer's rows to another. */
function straySchema(slug: string): DatabaseSetupError {
  const schema = schemaName(slug)
  return new DatabaseSetupError(
    `The schema ${schema} is there, but no tenant "${slug}". If its data is to be kept, insert the row into public.organizations and call createTenantSchema("${slug}"); else DROP SCHEMA ${schema} CASCADE.`,
  )
}
