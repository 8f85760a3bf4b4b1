/** A hold: why a tenant's runs of one service wait. It lives in `public.platform_holds`, the same for every engine. */

export const holdReasons = ['not_configured', 'refused', 'rate_limited'] as const
export type HoldReason = (typeof holdReasons)[number]

export interface Hold {
  tenantId: string
  service: string
  reason: HoldReason
  code: string
  message: string
  placedAt: Date
  /** When it ends by itself, by the database's clock; null: when the credential is replaced or verified. */
  until: Date | null
  /** It is over, and its runs are being let go in portions. */
  lifted: boolean
}

/** Which rows of platform_holds hold anything now. */
export const isActive = '(lifted_at IS NULL AND (until IS NULL OR until > now()))'

/** How long a hold still lasts, in milliseconds; null where it does not end by itself. */
export const endsInMs = '(extract(epoch FROM until - now()) * 1000)::float8'

export const holdColumns = `
  tenant_id AS "tenantId", service, reason, code, message, placed_at AS "placedAt", until,
  lifted_at IS NOT NULL OR coalesce(until <= now(), false) AS lifted`

/** Announces `<tenant> <service>` whenever a hold is placed or lifted. A hint: the table is the truth. */
export const holdChannel = 'cgk_holds'

export function parseAnnouncement(payload: string): { tenantId: string; service: string } | null {
  const [tenantId, service] = payload.split(' ')
  return tenantId && service ? { tenantId, service } : null
}
