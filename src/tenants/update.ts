/** Changing what a tenant is called, and the time zone that its schedules follow. */
import { UnknownTenantError } from '../errors.ts'
import { parseTenantName } from './name.ts'
import { parseSlug } from './slug.ts'
import { type Tenant, type TenantDeps, tenantChannel, tenantColumns } from './tenant.ts'
import { parseTimezone } from './timezone.ts'

export interface TenantChange {
  /** At most 200 characters; the slug where it is empty. */
  name?: string | undefined
  /** IANA name. Whoever changes it has had handed out before what schedules had come to by the old one. */
  timezone?: string | undefined
}

/**
 * What is left out stays. One statement is one transaction: the change and its announcement.
 *
 * @throws InvalidTenantSlugError, InvalidTenantNameError and ConfigError before any SQL; UnknownTenantError.
 */
export async function updateTenant(
  { database, directory }: Pick<TenantDeps, 'database' | 'directory'>,
  slug: string,
  { name, timezone }: TenantChange,
): Promise<Tenant> {
  const tenantId = parseSlug(slug)
  const { rows } = await database.query<Tenant>(
    `WITH changed AS (
       UPDATE public.organizations SET name = coalesce($2, name), timezone = coalesce($3, timezone)
       WHERE slug = $1 RETURNING *
     )
     SELECT ${tenantColumns} FROM changed, pg_notify($4, changed.slug)`,
    [
      tenantId,
      name === undefined ? null : parseTenantName(name, tenantId),
      timezone === undefined ? null : parseTimezone(timezone),
      tenantChannel,
    ],
  )
  const [changed] = rows
  if (!changed) throw new UnknownTenantError(tenantId)
  directory.invalidate(tenantId)
  return changed
}
