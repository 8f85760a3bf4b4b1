/** The audit log: who did what to which tenant, and why. Entries are added in the transaction of what they tell of. */
import type { Database } from '../db/database.ts'
import { InvalidRunFilterError } from '../errors.ts'
import { refuseInsideTenant } from '../tenants/surrounding.ts'

/** Who acts. `id` is null where there is none: a person at a shell, an app with the library. */
export interface Actor {
  kind: 'user' | 'key' | 'cli' | 'app'
  id: string | null
  name: string
}

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

export interface AuditEntry extends AuditRecord {
  id: string
  at: Date
}

export interface AuditFilter {
  /** Only of these; others' entries are not to be seen. */
  tenantIds?: readonly string[]
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

/** Inside `database.transaction` it commits with it. */
export async function recordAudit(
  { sql }: Database,
  { actor, action, tenantId, subject, reason, details }: AuditRecord,
): Promise<void> {
  await sql`
    INSERT INTO public.platform_audit (actor, action, tenant_id, subject, reason, details)
    VALUES (${JSON.stringify(actor)}, ${action}, ${tenantId}, ${subject}, ${reason}, ${JSON.stringify(details)})`
}

/** Newest first. Index: the primary key, or platform_audit_tenant, or platform_audit_action. */
export async function listAudit(
  { sql }: Database,
  { tenantIds, action, limit, after }: AuditFilter,
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
      AND (${action ?? null}::text IS NULL OR action = ${action ?? null})
    ORDER BY id DESC LIMIT ${limit + 1}`
  const entries = rows.slice(0, limit)
  return { entries, next: rows.length > limit ? (entries.at(-1)?.id ?? null) : null }
}
