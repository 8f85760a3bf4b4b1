/** What a command has done, for the audit log: the entry that the HTTP route for the same act writes. */
import type { AuditLog, Deed } from '../audit/audit.ts'
import { cliActor } from './actor.ts'

/** After it has been done. The log needs the database alone, so that commands without a queue have it too. */
export async function record({ audit }: { audit: AuditLog }, deed: Deed): Promise<void> {
  const { action, tenantId, subject = null, reason = null, details = {} } = deed
  await audit.record({ actor: cliActor(), action, tenantId, subject, reason, details })
}
