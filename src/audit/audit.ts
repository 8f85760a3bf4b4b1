/** The audit log: who did what to which tenant, and why. Entries are added in the transaction of what they tell of. */
import type { Database } from '../db/database.ts'
import { currentScope } from '../db/scope.ts'
import { InvalidRunFilterError } from '../errors.ts'
import { refuseInsideTenant } from '../tenants/surrounding.ts'

/** Who acts. `id` is null where there is none: a person at a shell, an app with the library. */
export interface Actor {
  kind: 'user' | 'key' | 'cli' | 'app'
  id: string | null
  name: string
}

/** An app's own code, which says no more of who it is. */
export const theApp: Actor = { kind: 'app', id: null, name: 'app' }

export interface AuditRecord {
  actor: Actor
  /** `run.replay`, `credential.set`: what it was done to, and what was done. */
  action: string
  tenantId: string | null
  subject: string | null
  reason: string | null
  /** Counts and names; never a payload, never a secret. */
  details: Record<string, string | number | boolean | null>
}

/** What has been done, before it is said by whom. */
export interface Deed {
  /** `tenant.suspend`: what it was done to, and what was done. */
  action: string
  tenantId: string | null
  subject?: string
  reason?: string | undefined
  /** Counts and names; never a payload, never a secret. */
  details?: AuditRecord['details']
}

export interface AuditEntry extends AuditRecord {
  id: string
  at: Date
}

export interface AuditFilter {
  /** Only of these; others' entries are not to be seen. */
  tenantIds?: readonly string[]
  /** Not of tenants that are gone: of one with a slug that was another's before, nothing of that one. */
  ofPresentTenants?: boolean
  action?: string
  /** 1 to 1000. */
  limit: number
  /** `next` of the page before. */
  after?: string
}

/** Not for the code of tenants: inside a tenant's context both throw InsideTenantError. */
export interface AuditLog {
  /** Newest first; 50 by default. */
  list(filter?: Partial<AuditFilter>): Promise<AuditPage>
  record(record: AuditRecord): Promise<void>
}

export interface AuditPage {
  entries: AuditEntry[]
  /** Give it as `after` to get the next page; null on the last one. */
  next: string | null
}

const usualPage = 50

export function createAuditLog(database: () => Promise<Database>): AuditLog {
  return {
    async list(filter = {}) {
      refuseInsideTenant('audit.list')
      return await listAudit(await database(), { limit: usualPage, ...filter })
    },
    async record(record) {
      refuseInsideTenant('audit.record')
      await recordAudit(await database(), record)
    },
  }
}

const recordSql = `
  INSERT INTO public.platform_audit (actor, action, tenant_id, subject, reason, details) VALUES ($1, $2, $3, $4, $5, $6)`

/** Inside a transaction it commits with it, also in a tenant's context, whose own role may not write here. */
export async function recordAudit(
  database: Database,
  { actor, action, tenantId, subject, reason, details }: AuditRecord,
): Promise<void> {
  const values = [JSON.stringify(actor), action, tenantId, subject, reason, JSON.stringify(details)]
  const scope = currentScope()
  const transaction = scope?.database === database && !scope.ended ? scope.transaction : null
  await (transaction ? transaction.executeAsPlatform(recordSql, values) : database.query(recordSql, values))
}

/**
 * What concerns several tenants at once: one entry for each, by one statement, with what it is to that one and nothing
 * of the others, so that each tenant's log tells it. Where it concerns none, one of the platform's.
 */
export async function recordAuditOfEach(
  { sql }: Database,
  { actor, action, subject, reason }: Omit<AuditRecord, 'tenantId' | 'details'>,
  concerned: readonly Pick<AuditRecord, 'tenantId' | 'details'>[],
): Promise<void> {
  const entries = concerned.length > 0 ? concerned : [{ tenantId: null, details: {} }]
  await sql`
    INSERT INTO public.platform_audit (actor, action, tenant_id, subject, reason, details)
    SELECT ${JSON.stringify(actor)}, ${action}, tenant_id, ${subject}, ${reason}, details::jsonb
    FROM unnest(
      ${entries.map(({ tenantId }) => tenantId)}::text[],
      ${entries.map(({ details }) => JSON.stringify(details))}::text[]
    ) AS concerned (tenant_id, details)
    ORDER BY tenant_id`
}

/** Newest first. Index: the primary key, or platform_audit_tenant, or platform_audit_action. */
export async function listAudit(
  { sql }: Database,
  { tenantIds, ofPresentTenants = false, action, limit, after }: AuditFilter,
): Promise<AuditPage> {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
    throw new InvalidRunFilterError('limit must be a whole number from 1 to 1000.')
  }
  if (after !== undefined && !/^\d{1,18}$/.test(after)) {
    throw new InvalidRunFilterError('`after` is not the `next` of a page of the audit log.')
  }
  const { rows } = await sql<AuditEntry>`
    SELECT id, at, actor, action, tenant_id AS "tenantId", subject, reason, details
    FROM public.platform_audit
    WHERE (${after ?? null}::bigint IS NULL OR id < ${after ?? null})
      AND (${tenantIds ?? null}::text[] IS NULL OR tenant_id = ANY(${tenantIds ?? null}))
      AND (NOT ${ofPresentTenants}::boolean OR at >= (
        SELECT created_at FROM public.organizations WHERE slug = tenant_id))
      AND (${action ?? null}::text IS NULL OR action = ${action ?? null})
    ORDER BY id DESC LIMIT ${limit + 1}`
  const entries = rows.slice(0, limit)
  return { entries, next: rows.length > limit ? (entries.at(-1)?.id ?? null) : null }
}
