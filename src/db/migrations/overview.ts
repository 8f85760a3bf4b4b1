/** Where every tenant stands, in one query: its schema, its role, its ledger. */
import { UnknownTenantError } from '../../errors.ts'
import type { Database } from '../database.ts'
import { readServer, settablePrivilege } from '../roles.ts'
import { type AppliedMigration, needsPublicTables } from './ledger.ts'

export interface TenantState {
  readonly slug: string
  readonly hasSchema: boolean
  /**
   * False when the role is missing or without its rights: a dump restored into another database brings the tables
   * along, but roles belong to the cluster and carry the old database's name.
   */
  readonly hasRole: boolean
  readonly ledger: readonly AppliedMigration[]
}

/** Catalogs are joined by name and asked by oid: `information_schema` slows down with every tenant. */
const selectTenants = (privilege: string) => `
  SELECT o.slug,
         n.oid IS NOT NULL AS "hasSchema",
         COALESCE(pg_has_role(current_user, r.oid, '${privilege}')
                  AND has_schema_privilege(r.oid, n.oid, 'USAGE'), false) AS "hasRole",
         COALESCE(l.rows, '[]') AS ledger
    FROM public.organizations o
    LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'tenant_' || o.slug
    LEFT JOIN pg_catalog.pg_roles r ON r.rolname = 'tenant_' || o.slug || '_' || $1::text
    LEFT JOIN (
      SELECT schema_name,
             json_agg(json_build_object('number', number, 'name', name, 'checksum', checksum) ORDER BY number) AS rows
        FROM public.platform_migrations GROUP BY schema_name
    ) l ON l.schema_name = 'tenant_' || o.slug
   WHERE $2::text[] IS NULL OR o.slug = ANY ($2)
   ORDER BY o.slug`

export async function readTenantStates(database: Database, only?: readonly string[]): Promise<TenantState[]> {
  const server = await readServer(database)
  const query = database.query<TenantState>(selectTenants(settablePrivilege(server)), [
    server.databaseOid.toString(36),
    only ?? null,
  ])
  const { rows } = await needsPublicTables(query)
  const found = new Set(rows.map(({ slug }) => slug))
  const missing = only?.find((slug) => !found.has(slug))
  if (missing !== undefined) throw new UnknownTenantError(missing)
  return rows
}
