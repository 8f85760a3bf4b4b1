/**
 * What people have done about failure groups. A mark is a tenant's own, or the platform's for all tenants; for a tenant
 * the last of these two counts, for the platform its own alone: no tenant hides anything from an operator.
 *
 * A mark holds for what was there when it was made. A group is open once it is seen after it was resolved, or after the
 * time up to which it is ignored; and for a tenant that came into the group later, it was never marked.
 */
import { isDate } from 'node:util/types'
import type { Database } from '../db/database.ts'
import { InvalidFailureMarkError, UnknownFailureGroupError } from '../errors.ts'

export const failureStates = ['open', 'resolved', 'ignored'] as const
export type FailureState = (typeof failureStates)[number]

export interface FailureMark {
  resolved: boolean
  ignoredUntil: Date | null
}

/** Whoever ignores something for longer than a year means to be rid of it: then it is to be mended or caught. */
export const longestIgnoreMs = 366 * 86_400_000

/** @throws InvalidFailureMarkError. */
export function checkIgnoredUntil(until: Date): void {
  const inMs = isDate(until) ? until.getTime() - Date.now() : Number.NaN
  if (inMs > 0 && inMs <= longestIgnoreMs) return
  throw new InvalidFailureMarkError(
    'A failure group is ignored until a Date that lies ahead, at most a year. Give a nearer one.',
  )
}

/** Index: platform_failure_counts_tenant, or the primary key of the groups. */
const markSql = `
  INSERT INTO public.platform_failure_marks (fingerprint, tenant_id, resolved_at, ignored_until)
  SELECT fingerprint, $2::text, CASE WHEN $3::boolean THEN now() END, $4::timestamptz
  FROM public.platform_failure_groups AS alike
  WHERE fingerprint = $1 AND EXISTS (
    SELECT FROM public.platform_failure_counts AS counts
    WHERE counts.fingerprint = alike.fingerprint AND ($2::text IS NULL OR counts.tenant_id = $2))
  ON CONFLICT (fingerprint, tenant_id) DO UPDATE SET
    marked_at = now(), resolved_at = EXCLUDED.resolved_at, ignored_until = EXCLUDED.ignored_until`

/** `tenantId` null: for all tenants. @throws UnknownFailureGroupError, also where the tenant has no part in it. */
export async function markFailure(
  database: Database,
  fingerprint: string,
  tenantId: string | null,
  { resolved, ignoredUntil }: FailureMark,
): Promise<void> {
  const { rowCount } = await database.query(markSql, [fingerprint, tenantId, resolved, ignoredUntil])
  if (rowCount === 0) throw new UnknownFailureGroupError(fingerprint)
}

/**
 * The mark that counts for a tenant (null: for the platform), of those made at `since` or later. A tenant is not shown one
 * that was made before it came into the group: it would tell that others were in it. Index: its unique one.
 */
export const lastMark = (of: { fingerprint: string; tenantId: string; since: string }): string => `
  SELECT marked_at, resolved_at, ignored_until FROM public.platform_failure_marks
  WHERE fingerprint = ${of.fingerprint} AND (tenant_id IS NULL OR tenant_id = ${of.tenantId}) AND marked_at >= ${of.since}
  ORDER BY marked_at DESC LIMIT 1`

/** `seen` has `last_at`, and `joined_at`: when the last of its tenants came into the group. */
export const stateOf = (mark: string, seen: string): string => `
  CASE
    WHEN ${mark}.ignored_until > ${seen}.last_at AND ${mark}.marked_at >= ${seen}.joined_at THEN 'ignored'
    WHEN ${mark}.resolved_at >= ${seen}.last_at THEN 'resolved'
    ELSE 'open'
  END`
