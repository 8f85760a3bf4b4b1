/** Schema, role and tables of a tenant whose row is there already. */
import type { MigrationResult } from '../db/migrations/public.ts'
import { migrateTenant } from '../db/migrations/tenant.ts'
import { parseSlug } from './slug.ts'
import type { TenantDeps } from './tenant.ts'

type MigrateDeps = Pick<TenantDeps, 'database' | 'migrationsDir'>

/**
 * For a row that an app inserted itself. Repeating it changes nothing. The status stays as it is.
 *
 * @throws InvalidTenantSlugError, UnknownTenantError, MigrationError.
 */
export async function createTenantSchema(deps: MigrateDeps, slug: string): Promise<MigrationResult> {
  return await migrateTenant(deps.database, parseSlug(slug), deps.migrationsDir)
}

/** The pending migrations of one tenant. @throws InvalidTenantSlugError, UnknownTenantError, MigrationError. */
export async function runTenantMigrations(deps: MigrateDeps, slug: string): Promise<MigrationResult> {
  return await migrateTenant(deps.database, parseSlug(slug), deps.migrationsDir)
}
