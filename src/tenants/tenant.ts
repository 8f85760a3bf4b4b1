/** A tenant as the platform knows it: its row in `public.organizations`. */
import type { Database } from '../db/database.ts'
import type { TenantDirectory } from './directory.ts'
import type { TenantWork } from './work.ts'

/** An onboarding tenant is admitted like an active one: being set up is work, too. */
export type TenantStatus = 'onboarding' | 'active' | 'suspended'

export interface Tenant {
  /** The organization's UUID. Never called tenantId: that is the slug. */
  readonly id: string
  readonly slug: string
  readonly name: string
  readonly status: TenantStatus
  /** IANA name. */
  readonly timezone: string
  readonly createdAt: Date
}

/** What creating, suspending, resuming and deleting need. */
export interface TenantDeps {
  readonly database: Database
  readonly directory: TenantDirectory
  /** The folder that has `public/` and `tenant/` in it. */
  readonly migrationsDir: string
  readonly work: TenantWork
  readonly cache: {
    /** Forgets every entry of the tenant. */
    clear(tenantId: string): Promise<void>
  }
}

/**
 * Announces the slug of a tenant whose row has changed; sent in the transaction of the change, so it arrives when the
 * change is visible, or never.
 */
export const tenantChannel = 'cgk_tenants'

export const tenantColumns = 'id, slug, name, status, timezone, created_at AS "createdAt"'

/** One row by the unique index on slug. */
export async function readTenant(database: Database, slug: string): Promise<Tenant | null> {
  const { rows } = await database.query<Tenant>(
    `SELECT ${tenantColumns} FROM public.organizations WHERE slug = $1`,
    [slug],
  )
  return rows[0] ?? null
}
