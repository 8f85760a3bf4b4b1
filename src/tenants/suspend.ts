/** Suspending a tenant makes its runs wait; resuming lets them go on. */
import type { Database } from '../db/database.ts'
import { UnknownTenantError } from '../errors.ts'
import { parseSlug } from './slug.ts'
import { type TenantDeps, type TenantStatus, tenantChannel } from './tenant.ts'

/** New work is refused, queued work waits; a run that is running ends. Repeating it changes nothing. */
export async function suspendTenant(deps: TenantDeps, slug: string): Promise<void> {
  const tenantId = parseSlug(slug)
  await setStatus(deps.database, tenantId, 'suspended')
  deps.directory.invalidate(tenantId)
}

/**
 * Waiting runs become due again, also when the tenant was not suspended: a resume that was cut off between its two
 * halves is completed by the next.
 */
export async function resumeTenant(deps: TenantDeps, slug: string): Promise<void> {
  const tenantId = parseSlug(slug)
  await setStatus(deps.database, tenantId, 'active')
  deps.directory.invalidate(tenantId)
  await deps.work.release(tenantId)
}

/** One statement is one transaction: the change and its announcement. A tenant that is onboarding stays so when resumed. */
export async function setStatus(database: Database, slug: string, status: TenantStatus): Promise<void> {
  const { rowCount } = await database.query(
    `WITH changed AS (
       UPDATE public.organizations
          SET status = CASE WHEN $2 = 'active' AND status = 'onboarding' THEN status ELSE $2 END
        WHERE slug = $1 RETURNING slug
     )
     SELECT pg_notify($3, slug) FROM changed`,
    [slug, status, tenantChannel],
  )
  if (rowCount === 0) throw new UnknownTenantError(slug)
}
