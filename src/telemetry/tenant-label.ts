/**
 * The tenants that have figures of their own. Every series is kept in memory, here and in whatever stores the metrics, for
 * as long as it lives; so the first that this process meets are told apart, up to a number, and all others are one.
 *
 * Nobody loses a name again: a series that changes owners would be wrong for both.
 */

/** No slug begins like this. */
export const otherTenants = '_other'

const named = new Set<string>()
let most = 100

/** 0: all tenants are one. Of several platforms in one process, the last one's word counts. */
export function limitTenantLabels(limit: number): void {
  most = limit
}

export function tenantLabel(tenantId: string): string {
  if (named.has(tenantId)) return tenantId
  if (named.size >= most) return otherTenants
  named.add(tenantId)
  return tenantId
}

/** Those that have figures of their own so far. */
export function namedTenants(): string[] {
  return [...named]
}
