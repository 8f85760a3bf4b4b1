/**
 * All tenants, side by side. One query finds those with something to do, so thousands that are up to date cost nothing;
 * a tenant that fails is reported and stops nobody else.
 */
import type { Database } from '../database.ts'
import { schemaName } from '../schema.ts'
import { type Migration, readMigrations } from './files.ts'
import { compare, pendingOf } from './ledger.ts'
import { readTenantStates, type TenantState } from './overview.ts'
import { bringUpToDate } from './tenant.ts'

export interface MigrateTenantsOptions {
  /** Tenants at once; 4 by default, and never more than the pool has connections. */
  jobs?: number
  /** Slugs; all tenants by default. */
  only?: readonly string[]
  /** Called once for every tenant that had something to do, as soon as it is done. */
  onResult?: (result: TenantMigration) => void
  /** Only answer what would be done. */
  dryRun?: boolean
}

export interface TenantMigration {
  readonly slug: string
  readonly schema: string
  /** Names of the files that were (or, for a dry run, would be) applied. */
  readonly files: readonly string[]
  /** The schema, role or grants were missing and were made again. */
  readonly repaired: boolean
  readonly error: Error | null
  readonly durationMs: number
}

export interface TenantMigrations {
  readonly upToDate: number
  readonly migrated: number
  readonly failed: readonly TenantMigration[]
}

/** @throws UnknownTenantError when `only` names a tenant that does not exist. A tenant's own failure is in the answer. */
export async function migrateTenants(
  database: Database,
  migrationsDir: string,
  options: MigrateTenantsOptions = {},
): Promise<TenantMigrations> {
  const files = await readMigrations(migrationsDir, 'tenant')
  const states = await readTenantStates(database, options.only)
  const todo = states.filter((state) => needsWork(files, state))
  const results: TenantMigration[] = []
  const queue = todo.values()
  const worker = async () => {
    for (const state of queue) {
      const result = await migrateOne(database, files, state, options.dryRun ?? false)
      results.push(result)
      options.onResult?.(result)
    }
  }
  const jobs = Math.max(1, Math.min(options.jobs ?? 4, database.pool.options.max, todo.length))
  await Promise.all(Array.from({ length: jobs }, worker))
  const failed = results.filter((result) => result.error)
  return { upToDate: states.length - todo.length, migrated: todo.length - failed.length, failed }
}

function needsWork(files: readonly Migration[], state: TenantState): boolean {
  const { pending, drifted } = compare(files, state.ledger)
  return pending.length > 0 || drifted.length > 0 || !state.hasSchema || !state.hasRole
}

async function migrateOne(
  database: Database,
  files: readonly Migration[],
  state: TenantState,
  dryRun: boolean,
): Promise<TenantMigration> {
  const { slug, ledger } = state
  const started = performance.now()
  const outcome = (applied: readonly Migration[], error: Error | null): TenantMigration => ({
    slug,
    schema: schemaName(slug),
    files: applied.map((file) => file.name),
    repaired: error === null && ledger.length > 0 && !(state.hasSchema && state.hasRole),
    error,
    durationMs: performance.now() - started,
  })
  try {
    return outcome(
      dryRun ? pendingOf(schemaName(slug), files, ledger) : await bringUpToDate(database, slug, files),
      null,
    )
  } catch (error) {
    return outcome([], error instanceof Error ? error : new Error(String(error)))
  }
}
