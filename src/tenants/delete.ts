/**
 * Deleting a tenant, in an order that can be cut off anywhere and repeated: as long as its row is there, the tenant is
 * there, suspended, and deleting it again does the rest.
 *
 *   1. suspended: nothing new is triggered or started
 *   2. its runs are forgotten, what they wrote, and its cache
 *   3. one transaction: schema, role, ledger rows, row, and what runs wrote in between
 *   4. runs and entries of a process that had not yet heard of 1. are forgotten as well
 */
import { lockSchema } from '../db/migrations/apply.ts'
import { oneFlight, platformTransaction } from '../db/platform-transaction.ts'
import { dropRole, readServer, roleName } from '../db/roles.ts'
import { quoteIdentifier } from '../db/statement.ts'
import { TenantHasOpenRunsError, UnknownTenantError } from '../errors.ts'
import { forgetInPortions, forgetRest } from './forget.ts'
import { parseSlug, schemaName } from './slug.ts'
import { setStatus, suspendTenant } from './suspend.ts'
import { readTenant, type Tenant, type TenantDeps, tenantChannel } from './tenant.ts'

export interface DeleteTenantOptions {
  /** Delete although runs are open: they are lost. */
  force?: boolean
}

/** @throws InvalidTenantSlugError, UnknownTenantError; TenantHasOpenRunsError, and then nothing has changed. */
export async function deleteTenant(
  deps: TenantDeps,
  slug: string,
  options: DeleteTenantOptions = {},
): Promise<void> {
  const tenantId = parseSlug(slug)
  const tenant = await readTenant(deps.database, tenantId)
  if (!tenant) throw new UnknownTenantError(tenantId)
  if (options.force) await suspendTenant(deps, tenantId)
  else await suspendIfIdle(deps, tenant)
  await deps.work.drop(tenantId)
  await forgetInPortions(deps.database, tenantId)
  await deps.cache.clear(tenantId)
  await dropTenant(deps, tenantId)
  deps.directory.invalidate(tenantId)
  await deps.work.drop(tenantId)
  await deps.cache.clear(tenantId)
}

/** Counted before, so that a refusal does not interrupt the tenant; and after, for what was triggered in between. */
async function suspendIfIdle(deps: TenantDeps, tenant: Tenant): Promise<void> {
  await refuseOpenRuns(deps, tenant.slug)
  await suspendTenant(deps, tenant.slug)
  try {
    await refuseOpenRuns(deps, tenant.slug)
  } catch (error) {
    await restore(deps, tenant)
    throw error
  }
}

async function refuseOpenRuns({ work }: TenantDeps, slug: string): Promise<void> {
  const open = await work.countOpen(slug)
  if (open > 0) throw new TenantHasOpenRunsError(slug, open)
}

async function restore(deps: TenantDeps, tenant: Tenant): Promise<void> {
  if (tenant.status === 'suspended') return
  await setStatus(deps.database, tenant.slug, tenant.status)
  deps.directory.invalidate(tenant.slug)
  await deps.work.release(tenant.slug)
}

async function dropTenant({ database }: TenantDeps, slug: string): Promise<void> {
  const server = await readServer(database)
  const schema = schemaName(slug)
  await platformTransaction(database, async (client) => {
    await oneFlight([
      lockSchema(client, schema),
      client.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(schema)} CASCADE`),
      dropRole(client, server, roleName(slug, server.databaseOid)),
      client.query('DELETE FROM public.platform_migrations WHERE schema_name = $1', [schema]),
      client.query('DELETE FROM public.organizations WHERE slug = $1', [slug]),
      forgetRest(client, slug),
      client.query('SELECT pg_notify($1, $2)', [tenantChannel, slug]),
    ])
  })
}
