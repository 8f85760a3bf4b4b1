/** Changing what a tenant is called, and the time zone that its schedules follow. */
import { raw } from 'sql-template-tag'
import { UnknownTenantError } from '../errors.ts'
import { parseTenantName } from './name.ts'
import { parseSlug } from './slug.ts'
import { type Tenant, type TenantDeps, tenantChannel, tenantColumns } from './tenant.ts'
import { parseTimezone } from './timezone.ts'

export interface TenantChange {
  /** At most 200 characters; the slug where it is empty. */
  name?: string | undefined
  /** IANA name. Whoever changes it does so in `Ticker.change`, so that what had come by the old one is planned. */
  timezone?: string | undefined
}

/**
 * What is left out stays. One statement: the change and its announcement go together, also in a transaction.
 *
 * @throws InvalidTenantSlugError, InvalidTenantNameError and ConfigError before any SQL; UnknownTenantError.
 */
export async function updateTenant(
  { database, directory }: Pick<TenantDeps, 'database' | 'directory'>,
  slug: string,
  { name, timezone }: TenantChange,
): Promise<Tenant> {
  const tenantId = parseSlug(slug)
  const newName = name === undefined ? null : parseTenantName(name, tenantId)
  const newTimezone = timezone === undefined ? null : parseTimezone(timezone)
  const { rows } = await database.sql<Tenant>`
    WITH changed AS (
      UPDATE public.organizations SET name = coalesce(${newName}, name), timezone = coalesce(${newTimezone}, timezone)
      WHERE slug = ${tenantId} RETURNING *
    )
    SELECT ${raw(tenantColumns)} FROM changed, pg_notify(${tenantChannel}, changed.slug)`
  const [changed] = rows
  if (!changed) throw new UnknownTenantError(tenantId)
  directory.invalidate(tenantId)
  return changed
}
