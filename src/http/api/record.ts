/** What has been done, for the audit log. */
import type { Actor, Deed } from '../../audit/audit.ts'
import { type ApiContext, actorOf } from './env.ts'

/** After it has been done. `by` where whoever asks is nobody yet, or not the one who acts. */
export async function record(context: ApiContext, deed: Deed, by: Actor = actorOf(context)): Promise<void> {
  const { action, tenantId, subject = null, reason = null, details = {} } = deed
  await context.get('platform').audit.record({ actor: by, action, tenantId, subject, reason, details })
}
