/**
 * Claiming: due runs of one task become `active`, and ours. Those whose tenant has a service held that the task needs
 * are not started: the same statement sets them aside, and only letting go (release.ts) brings them back.
 */
import type { Database } from '../../db/database.ts'
import { isActive } from '../../holds/hold.ts'
import type { JsonValue } from '../../task/json.ts'
import { heldOutput, heldUntil, type JobData, jobTable, nowMs, readData } from './job.ts'

export interface Claim {
  id: string
  taskId: string
  tenantId: string
  data: Partial<JobData>
  retryCount: number
  retryLimit: number
  /** Postgres's own text, to the microsecond: with the retry count it names this claim and no other. */
  startedOn: string
  /** How long it had been due, in milliseconds. */
  waitedMs: number
  lapsed: boolean
}

/** A service that is held for a tenant, and because of which runs were set aside. */
export interface Held {
  tenantId: string
  service: string
}

export interface Claimed {
  claims: Claim[]
  held: Held[]
  /** Runs that the statement dealt with, started or set aside. */
  runs: number
}

const claimColumns = `j.id, j.group_id, j.data, j.retry_count, j.retry_limit, j.started_on::text AS started_on,
    (extract(epoch FROM j.started_on - j.start_after) * 1000)::float8 AS waited_ms,
    coalesce(j.retry_count = 0 AND j.data->'expiresAt' < ${nowMs}, false) AS lapsed`

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
  RETURNING ${claimColumns}`

/**
 * The same for a task that needs services. The lock on the holds makes sure that nothing is set aside for a hold that is
 * over: whoever lifts it waits for this commit, and then finds what to let go.
 */
const becomeActiveUnlessHeld = `
  UPDATE ${jobTable} j SET
    state = CASE WHEN held.service IS NULL THEN 'active' ELSE j.state END,
    started_on = CASE WHEN held.service IS NULL THEN clock_timestamp() ELSE j.started_on END,
    heartbeat_on = CASE WHEN held.service IS NULL THEN clock_timestamp() ELSE j.heartbeat_on END,
    retry_count = CASE WHEN held.service IS NOT NULL OR j.started_on IS NULL THEN j.retry_count ELSE j.retry_count + 1 END,
    start_after = CASE WHEN held.service IS NULL THEN j.start_after ELSE '${heldUntil}' END,
    output = CASE WHEN held.service IS NULL THEN j.output ELSE ${heldOutput} END
  FROM next LEFT JOIN held ON held.tenant_id = next.group_id
  WHERE j.ctid = next.ctid AND j.state < 'active'
  RETURNING ${claimColumns}, held.service AS held`

/** One per tenant: the first of them will do. Index: the primary key. */
const heldAmong = (tenants: string, services: string) => `
  locked AS (
    SELECT tenant_id, service, message FROM public.platform_holds
    WHERE tenant_id IN (SELECT group_id FROM ${tenants}) AND service = ANY(${services}::text[]) AND ${isActive}
    FOR SHARE
  ),
  held AS (
    SELECT DISTINCT ON (tenant_id) tenant_id, service, message FROM locked ORDER BY tenant_id, service
  )`

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

const firstDue = `
  next AS (
    SELECT ctid, group_id FROM ${jobTable}
    WHERE name = $1 AND state < 'active' AND NOT blocked AND start_after <= now()
    ORDER BY priority DESC, created_on
    LIMIT $2
    FOR UPDATE SKIP LOCKED
  )`

const claimSql = `WITH ${firstDue} ${becomeActive}`

const claimUnlessHeldSql = `WITH ${firstDue}, ${heldAmong('next', '$3')} ${becomeActiveUnlessHeld}`

/**
 * With a limit per tenant. Claims of one task take turns (the lock), so what counts as running is exact. The recursive
 * part steps from tenant to tenant over the index, and each is read only as deep as it has room: neither another
 * tenant's backlog nor the tenant's own makes it slower. A tenant's first runs come before any tenant's second ones.
 * Indexes: cgk_job_tenant (boss.ts) for the tenants and their heads, job_i7 for what runs.
 */
const claimLimited = (held: { among: string; isHeld: string }, become: string) => `
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
  ${held.among}
  next AS (
    SELECT head.ctid, tenant.group_id
    FROM tenant
    CROSS JOIN LATERAL (
      SELECT CASE WHEN ${held.isHeld} THEN $2 ELSE greatest($3 - count(*), 0) END AS free FROM ${jobTable}
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
  ${become}`

const claimLimitedSql = claimLimited({ among: '', isHeld: 'false' }, becomeActive)

/** A run that is set aside takes no room. */
const claimLimitedUnlessHeldSql = claimLimited(
  {
    among: `${heldAmong('tenant', '$4')},`,
    isHeld: 'tenant.group_id IN (SELECT tenant_id FROM held)',
  },
  becomeActiveUnlessHeld,
)

const takeTurns = `SELECT pg_advisory_xact_lock(hashtextextended('cgk claim ' || $1, 0))`

interface ClaimRow {
  id: string
  group_id: string
  data: JsonValue
  retry_count: number
  retry_limit: number
  started_on: string
  waited_ms: number
  lapsed: boolean
  held?: string | null
}

export interface ClaimedTask {
  id: string
  perTenant: number | null
  services: readonly string[]
}

export async function claim(database: Database, task: ClaimedTask, limit: number): Promise<Claimed> {
  const rows = await (task.perTenant === null
    ? claimFirst(database, task, limit)
    : claimTakingTurns(database, task, limit, task.perTenant))
  const held = new Map<string, Held>()
  const claims: Claim[] = []
  for (const row of rows) {
    if (row.held) held.set(row.group_id, { tenantId: row.group_id, service: row.held })
    else claims.push(toClaim(task.id, row))
  }
  return { claims, held: [...held.values()], runs: rows.length }
}

function toClaim(taskId: string, row: ClaimRow): Claim {
  return {
    id: row.id,
    taskId,
    tenantId: row.group_id,
    data: readData(row.data),
    retryCount: row.retry_count,
    retryLimit: row.retry_limit,
    startedOn: row.started_on,
    waitedMs: row.waited_ms,
    lapsed: row.lapsed,
  }
}

async function claimFirst(
  database: Database,
  { id, services }: ClaimedTask,
  limit: number,
): Promise<ClaimRow[]> {
  const { rows } = await (services.length === 0
    ? database.queryWith<ClaimRow>(inIndexOrder, claimSql, [id, limit])
    : database.queryWith<ClaimRow>(inIndexOrder, claimUnlessHeldSql, [id, limit, services]))
  return rows
}

/** One flight: the lock, then the claim with a snapshot taken after it, then the commit that lets the next one in. */
async function claimTakingTurns(
  database: Database,
  { id, services }: ClaimedTask,
  limit: number,
  perTenant: number,
): Promise<ClaimRow[]> {
  const [text, values] =
    services.length === 0
      ? [claimLimitedSql, [id, limit, perTenant]]
      : [claimLimitedUnlessHeldSql, [id, limit, perTenant, services]]
  const client = await database.pool.connect()
  const [begun, locked, claimed, committed] = await Promise.allSettled([
    client.query('BEGIN'),
    client.query(takeTurns, [id]),
    client.query<ClaimRow>(text, values),
    client.query('COMMIT'),
  ])
  client.release(client.getTransactionStatus() !== 'I')
  for (const step of [begun, locked, committed]) if (step.status === 'rejected') throw step.reason
  if (claimed.status === 'rejected') throw claimed.reason
  return claimed.value.rows
}
