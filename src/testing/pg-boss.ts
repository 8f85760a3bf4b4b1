/**
 * The pg-boss engine goes by the database's clock, which a test cannot move. So what waits is moved towards it instead:
 * every time that lies ahead comes nearer by as much.
 */
import type { Database } from '../db/database.ts'
import { readyChannel } from '../engines/pg-boss/boss.ts'
import { heldUntil } from '../engines/pg-boss/job.ts'
import { holdChannel, isActive } from '../holds/hold.ts'
import type { Holds } from '../holds/holds.ts'
import type { EngineControl } from './engine-control.ts'

/** A held run waits for no time, but its expiry does come nearer. */
const advanceSql = `
  WITH step AS (SELECT $1::float8 * interval '1 millisecond' AS ahead),
  keys AS (UPDATE public.platform_idempotency_keys SET expires_at = expires_at - ahead FROM step),
  holds AS (
    UPDATE public.platform_holds SET until = until - ahead, next_portion_at = next_portion_at - ahead FROM step
    RETURNING pg_notify('${holdChannel}', tenant_id || ' ' || service)
  ),
  moved AS (
    UPDATE pgboss.job SET
      start_after = CASE WHEN start_after = '${heldUntil}' THEN start_after ELSE start_after - ahead END,
      data = CASE WHEN data ? 'expiresAt'
        THEN data || jsonb_build_object('expiresAt', (data->>'expiresAt')::numeric - extract(epoch FROM ahead) * 1000)
        ELSE data END
    FROM step
    WHERE group_id IS NOT NULL AND state < 'active'
    RETURNING name
  )
  SELECT pg_notify('${readyChannel}', name) FROM moved GROUP BY name`

/** What is about to be let go, because its hold is over, is as good as due. */
const unfinishedSql = `
  SELECT name AS "taskId", count(*)::int AS runs FROM pgboss.job
  WHERE group_id IS NOT NULL AND (
    state = 'active'
    OR state < 'active' AND NOT blocked AND (start_after <= now() OR start_after = '${heldUntil}' AND EXISTS (
      SELECT FROM public.platform_holds
      WHERE tenant_id = group_id AND service = output->>'held' AND NOT ${isActive}
    ))
  )
  GROUP BY name`

export function pgBossControl(database: Database, holds: Holds): EngineControl {
  return {
    async advance(ms) {
      await database.query(advanceSql, [ms])
      // Not left to the notification, which may come after what the test does next.
      for (const { tenantId, service } of await holds.list()) await holds.changed(tenantId, service)
    },

    async unfinished() {
      const { rows } = await database.query<{ taskId: string; runs: number }>(unfinishedSql)
      return new Map(rows.map(({ taskId, runs }) => [taskId, runs]))
    },
  }
}
