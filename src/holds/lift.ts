/** Lifting a hold. Its row stays until the last run that waited for it has been let go. */
import type pg from 'pg'
import { type HoldReason, holdChannel } from './hold.ts'

/** Within the transaction of what lifts it: a new credential, or one that was verified. Index: the primary key. */
export async function liftHold(
  client: pg.ClientBase,
  tenantId: string,
  service: string,
  reasons: readonly HoldReason[],
): Promise<void> {
  await client.query(
    `UPDATE public.platform_holds SET lifted_at = now(), released = 0, next_portion_at = now()
     WHERE tenant_id = $1 AND service = $2 AND reason = ANY($3::text[]) AND lifted_at IS NULL`,
    [tenantId, service, reasons],
  )
  await client.query('SELECT pg_notify($1, $2)', [holdChannel, `${tenantId} ${service}`])
}
