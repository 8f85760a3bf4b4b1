/** What has been done, for the audit log. */
import type { Actor, AuditRecord } from '../../audit/audit.ts'
import { type ApiContext, actorOf } from './env.ts'

export interface Deed {
  /** `tenant.suspend`: what it was done to, and what was done. */
  action: string
  tenantId: string | null
  subject?: string
  reason?: string | undefined
  /** Counts and names; never a payload, never a secret. */
  details?: AuditRecord['details']
}

/** After it has been done. `by` where whoever asks is nobody yet, or not the one who acts. */
export async function record(context: ApiContext, deed: Deed, by: Actor = actorOf(context)): Promise<void> {
  const { action, tenantId, subject = null, reason = null, details = {} } = deed
  await context.get('platform').audit.record({ actor: by, action, tenantId, subject, reason, details })
}
