/** Claiming: due runs of one task become `active`, and ours. */
import type { Database } from '../../db/database.ts'
import type { JsonValue } from '../../task/json.ts'
import { type JobData, jobTable, nowMs, readData } from './job.ts'

export interface Claim {
  id: string
  taskId: string
  tenantId: string
  data: Partial<JobData>
  retryCount: number
  retryLimit: number
  /** Postgres's own text, to the microsecond: with the retry count it names this claim and no other. */
  startedOn: string
  lapsed: boolean
}

/**
 * A run that was started before counts a new attempt. One that was handed back has no `started_on`, so it does not.
 * `next` holds the places of the rows to claim; a row that was cancelled meanwhile has moved, and is not claimed.
 */
const becomeActive = `
  UPDATE ${jobTable} j SET
    state = 'active',
    started_on = clock_timestamp(),
    heartbeat_on = clock_timestamp(),
    retry_count = CASE WHEN j.started_on IS NULL THEN j.retry_count ELSE j.retry_count + 1 END
  FROM next
  WHERE j.ctid = next.ctid AND j.state < 'active'
  RETURNING j.id, j.group_id, j.data, j.retry_count, j.retry_limit, j.started_on::text AS started_on,
    coalesce(j.retry_count = 0 AND j.data->'expiresAt' < ${nowMs}, false) AS lapsed`

/**
 * Index: pg-boss's job_i11 (name, priority desc, created_on, start_after); flat with the backlog. A queue grows and
 * shrinks faster than statistics follow, and with old ones the planner would rather sort the whole backlog.
 */
const inIndexOrder = [
  ...['enable_sort', 'off'],
  ...['enable_bitmapscan', 'off'],
  ...['enable_seqscan', 'off'],
  ...['enable_hashjoin', 'off'],
]

const claimSql = `
  WITH next AS (
    SELECT ctid FROM ${jobTable}
    WHERE name = $1 AND state < 'active' AND NOT blocked AND start_after <= now()
    ORDER BY priority DESC, created_on
    LIMIT $2
    FOR UPDATE SKIP LOCKED
  )
  ${becomeActive}`

/**
 * With a limit per tenant. Claims of one task take turns (the lock), so what counts as running is exact. The recursive
 * part steps from tenant to tenant over the index, and each is read only as deep as it has room: neither another
 * tenant's backlog nor the tenant's own makes it slower. A tenant's first runs come before any tenant's second ones.
 * Indexes: cgk_job_tenant (boss.ts) for the tenants and their heads, job_i7 for what runs.
 */
const claimLimitedSql = `
  WITH RECURSIVE tenant AS (
    (SELECT group_id FROM ${jobTable}
      WHERE name = $1 AND state < 'active' AND NOT blocked AND group_id IS NOT NULL
      ORDER BY group_id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.group_id FROM ${jobTable} j
      WHERE j.name = $1 AND j.state < 'active' AND NOT j.blocked AND j.group_id IS NOT NULL AND j.group_id > tenant.group_id
      ORDER BY j.group_id LIMIT 1)
    FROM tenant WHERE tenant.group_id IS NOT NULL
  ),
  next AS (
    SELECT head.ctid
    FROM tenant
    CROSS JOIN LATERAL (
      SELECT greatest($3 - count(*), 0) AS free FROM ${jobTable}
      WHERE name = $1 AND state = 'active' AND group_id IS NOT NULL AND group_id = tenant.group_id
    ) AS room
    CROSS JOIN LATERAL (
      SELECT ctid, priority, created_on, row_number() OVER (ORDER BY priority DESC, created_on) AS place
      FROM (
        SELECT ctid, priority, created_on FROM ${jobTable}
        WHERE name = $1 AND state < 'active' AND NOT blocked AND start_after <= now()
          AND group_id IS NOT NULL AND group_id = tenant.group_id
        ORDER BY priority DESC, created_on
        LIMIT room.free
      ) AS heads
    ) AS head
    WHERE tenant.group_id IS NOT NULL AND room.free > 0
    ORDER BY head.place, head.priority DESC, head.created_on
    LIMIT $2
  )
  ${becomeActive}`

const takeTurns = `SELECT pg_advisory_xact_lock(hashtextextended('cgk claim ' || $1, 0))`

interface ClaimRow {
  id: string
  group_id: string
  data: JsonValue
  retry_count: number
  retry_limit: number
  started_on: string
  lapsed: boolean
}

export async function claim(
  database: Database,
  task: { id: string; perTenant: number | null },
  limit: number,
): Promise<Claim[]> {
  const rows =
    task.perTenant === null
      ? (await database.queryWith<ClaimRow>(inIndexOrder, claimSql, [task.id, limit])).rows
      : await claimLimited(database, task.id, limit, task.perTenant)
  return rows.map((row) => ({
    id: row.id,
    taskId: task.id,
    tenantId: row.group_id,
    data: readData(row.data),
    retryCount: row.retry_count,
    retryLimit: row.retry_limit,
    startedOn: row.started_on,
    lapsed: row.lapsed,
  }))
}

/** One flight: the lock, then the claim with a snapshot taken after it, then the commit that lets the next one in. */
async function claimLimited(
  database: Database,
  taskId: string,
  limit: number,
  perTenant: number,
): Promise<ClaimRow[]> {
  const client = await database.pool.connect()
  const [begun, locked, claimed, committed] = await Promise.allSettled([
    client.query('BEGIN'),
    client.query(takeTurns, [taskId]),
    client.query<ClaimRow>(claimLimitedSql, [taskId, limit, perTenant]),
    client.query('COMMIT'),
  ])
  client.release(client.getTransactionStatus() !== 'I')
  for (const step of [begun, locked, committed]) if (step.status === 'rejected') throw step.reason
  if (claimed.status === 'rejected') throw claimed.reason
  return claimed.value.rows
}
