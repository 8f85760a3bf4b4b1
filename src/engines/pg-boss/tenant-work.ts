/** All the work of one tenant: for suspending, resuming and deleting it. Index: cgk_job_tenant, job_i7 (boss.ts). */
import type { Database } from '../../db/database.ts'
import { forgetTenant } from '../../runs/forget-tenant.ts'
import { heldByTenant } from '../../task/outcome.ts'
import type { TenantWork } from '../../tenants/work.ts'
import { readyChannel } from './boss.ts'
import { heldBy, heldUntil } from './job.ts'

const countOpenSql = `
  SELECT count(*)::int AS open FROM pgboss.queue AS queue CROSS JOIN LATERAL (
    SELECT 1 FROM pgboss.job WHERE name = queue.name AND group_id = $1 AND group_id IS NOT NULL
      AND state < 'active' AND NOT blocked
    UNION ALL
    SELECT 1 FROM pgboss.job WHERE name = queue.name AND group_id = $1 AND state = 'active'
  ) AS job`

/** A suspended tenant's runs were handed back to wait for ever; now they are due, in the order they had. */
const releaseSql = `
  WITH released AS (
    UPDATE pgboss.job SET start_after = now(), output = NULL
    WHERE name IN (SELECT name FROM pgboss.queue) AND group_id = $1
      AND state < 'active' AND NOT blocked AND start_after = '${heldUntil}' AND ${heldBy} = '${heldByTenant}'
    RETURNING name
  )
  SELECT pg_notify('${readyChannel}', name) FROM released GROUP BY name`

const dropJobsSql = 'DELETE FROM pgboss.job WHERE group_id = $1'

const dropKeysSql = 'DELETE FROM public.platform_idempotency_keys WHERE tenant_id = $1'

export function tenantWork(database: Database): TenantWork {
  return {
    async countOpen(tenantId) {
      const { rows } = await database.query<{ open: number }>(countOpenSql, [tenantId])
      return rows[0]?.open ?? 0
    },
    async release(tenantId) {
      await database.query(releaseSql, [tenantId])
    },
    async drop(tenantId) {
      // Jobs first: a run that ends meanwhile is in history then, and a claim locks a run before the hold on its service.
      await database.query(dropJobsSql, [tenantId])
      await database.query(dropKeysSql, [tenantId])
      await forgetTenant(database, tenantId)
    },
  }
}
