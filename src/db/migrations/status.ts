/** What every schema has and lacks: the platform's first, then each tenant's. */
import type { Database } from '../database.ts'
import { schemaName } from '../schema.ts'
import { readMigrations } from './files.ts'
import { type Comparison, compare } from './ledger.ts'
import { readTenantStates } from './overview.ts'
import { readPublicLedger } from './public.ts'

export interface SchemaStatus extends Comparison {
  readonly schema: string
  /** Null for the platform's own schema. */
  readonly slug: string | null
  /** False: `cgk migrate` will make the schema, role or grants again. */
  readonly intact: boolean
}

/** Two queries, however many tenants. In a database without the platform's tables there is only `public`. */
export async function migrationStatus(database: Database, migrationsDir: string): Promise<SchemaStatus[]> {
  const [publicFiles, tenantFiles, ledger] = await Promise.all([
    readMigrations(migrationsDir, 'public'),
    readMigrations(migrationsDir, 'tenant'),
    readPublicLedger(database),
  ])
  const platform = { schema: 'public', slug: null, intact: true, ...compare(publicFiles, ledger) }
  const states = ledger.length > 0 ? await readTenantStates(database) : []
  const tenants = states.map((state) => ({
    schema: schemaName(state.slug),
    slug: state.slug,
    intact: state.hasSchema && state.hasRole,
    ...compare(tenantFiles, state.ledger),
  }))
  return [platform, ...tenants]
}
