/** One tenant's tables: `migrations/tenant`, once per tenant, with the role that may use them. */
import type pg from 'pg'
import { MigrationError, UnknownTenantError } from '../../errors.ts'
import type { Database } from '../database.ts'
import { oneFlight, platformTransaction } from '../platform-transaction.ts'
import { ensureRole, explainMissingRight, grantSchema, readServer, roleName, type Server } from '../roles.ts'
import { schemaName } from '../schema.ts'
import { quoteIdentifier } from '../statement.ts'
import { applyFiles, lockSchema } from './apply.ts'
import { type Migration, readMigrations } from './files.ts'
import { type AppliedMigration, needsPublicTables, pendingOf, selectLedger } from './ledger.ts'
import { readTenantStates } from './overview.ts'
import type { MigrateOptions, MigrationResult } from './public.ts'

/**
 * Brings one tenant up to date in one transaction: its schema, its pending files, its role and grants. Repeating it
 * changes nothing.
 *
 * @throws UnknownTenantError when there is no row for it, MigrationError when a file fails or has changed.
 */
export async function migrateTenant(
  database: Database,
  slug: string,
  migrationsDir: string,
  options: MigrateOptions = {},
): Promise<MigrationResult> {
  const files = await readMigrations(migrationsDir, 'tenant')
  const applied = options.dryRun
    ? await wouldApply(database, slug, files)
    : await bringUpToDate(database, slug, files)
  return { schema: schemaName(slug), files: applied.map((file) => file.name) }
}

async function wouldApply(
  database: Database,
  slug: string,
  files: readonly Migration[],
): Promise<readonly Migration[]> {
  const [state] = await readTenantStates(database, [slug])
  return pendingOf(schemaName(slug), files, state!.ledger)
}

export async function bringUpToDate(
  database: Database,
  slug: string,
  files: readonly Migration[],
): Promise<readonly Migration[]> {
  const server = await readServer(database)
  return await platformTransaction(database, async (client) => {
    const [, known] = await oneFlight([
      lockSchema(client, schemaName(slug)),
      // Under the lock, which deleting takes as well: a tenant deleted meanwhile does not get its schema back.
      needsPublicTables(client.query('SELECT FROM public.organizations WHERE slug = $1', [slug])),
    ])
    if (known.rowCount === 0) throw new UnknownTenantError(slug)
    return await buildTenant(client, server, slug, files)
  })
}

/**
 * The part that creating and migrating share, inside the caller's transaction: whatever is missing of schema, tables,
 * ledger rows, role and grants. Two flights, however many files: each call sends its queries before its first await, so
 * they reach Postgres in the order written here.
 */
export async function buildTenant(
  client: pg.PoolClient,
  server: Server,
  slug: string,
  files: readonly Migration[],
): Promise<readonly Migration[]> {
  const schema = schemaName(slug)
  const role = roleName(slug, server.databaseOid)
  const [, found, ledger] = await oneFlight([
    lockSchema(client, schema),
    client.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [schema]),
    needsPublicTables(client.query<AppliedMigration>(selectLedger, [schema])),
  ])
  if (found.rowCount === 0 && ledger.rows.length > 0) throw lostSchema(schema)
  const pending = pendingOf(schema, files, ledger.rows)
  await oneFlight([
    createSchema(client, schema),
    applyFiles(client, schema, pending),
    ensureRole(client, server, role),
    grantSchema(client, role, schema),
  ])
  return pending
}

async function createSchema(client: pg.ClientBase, schema: string): Promise<void> {
  await explainMissingRight(
    'may not create schemas. Run as the database owner: GRANT CREATE ON DATABASE <database> TO <login>',
    client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)}`),
  )
}

/** Making it anew, empty, would hide that a tenant's data is gone. */
function lostSchema(schema: string): MigrationError {
  return new MigrationError(
    `${schema} was migrated before, but the schema is gone. Restore it from a backup; or, to start it empty: DELETE FROM public.platform_migrations WHERE schema_name = '${schema}'`,
  )
}
