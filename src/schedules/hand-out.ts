/**
 * Handing out a tick: one run for each tenant that has it, a batch at a time. A batch of runs and the note of how far it
 * came commit together, so a process that dies leaves both or neither. An engine that is not in the database gets a
 * batch before the note is committed: what is handed out again is the same run by its id.
 */
import type { Logger } from 'pino'
import type { Database } from '../db/database.ts'
import { currentScope, leaveScopes } from '../db/scope.ts'
import type { SqlTag, Statement } from '../db/statement.ts'
import type { Engine } from '../engines/engine.ts'
import type { TaskRegistry } from '../task/registry.ts'
import { isKnown } from './known.ts'
import { findMembers, type Tick } from './members.ts'
import { type Member, nameOfTime, scheduleTag, toRequest } from './request.ts'
import { extraSchedule, findDeclared, type Schedule, scheduleId } from './schedule.ts'
import { briefTransaction } from './transaction.ts'

export interface HandOutDependencies {
  database: Database
  engine: Engine
  registry: TaskRegistry
  logger: Logger
}

interface OpenTick extends Tick {
  taskId: string
  key: string
  afterTenant: string
  madeAt: Date
}

export const tenantsPerBatch = 1_000
const nextTryAfterSeconds = 30

/** Hands out one batch of the oldest tick that is open. False: there is none that this process could hand out. */
export async function handOutBatch(now: Date, dependencies: HandOutDependencies): Promise<boolean> {
  const { database, logger } = dependencies
  let taken: OpenTick | null = null
  try {
    return await briefTransaction(database, async () => {
      taken = await takeTick(now, dependencies)
      if (taken) await handOut(taken, now, dependencies)
      return taken !== null
    })
  } catch (error) {
    if (!taken) throw error
    logger.error({ err: error, ...describe(taken) }, 'A tick could not be handed out; it is tried again')
    await putOff(taken, now, database)
    return true
  }
}

/** One that nobody else is handing out. */
async function takeTick(
  now: Date,
  { database: { sql }, registry }: HandOutDependencies,
): Promise<OpenTick | null> {
  const { rows } = await sql<OpenTick>`
    SELECT task_id AS "taskId", key, cron, timezone, nominal_at AS "nominalAt", declared_cron AS "declaredCron",
      declared_timezone AS "declaredTimezone", after_tenant AS "afterTenant", made_at AS "madeAt"
    FROM public.platform_schedule_ticks WHERE ${isOpen(sql, registry, now)}
    ORDER BY nominal_at, task_id, key, cron, timezone LIMIT 1
    FOR UPDATE SKIP LOCKED`
  return rows[0] ?? null
}

/** What a process with this registry can hand out. Index: platform_schedule_ticks_open. */
export function isOpen(sql: SqlTag, registry: TaskRegistry, now: Date): Statement<never> {
  return sql`finished_at IS NULL AND next_try_at <= ${now} AND ${isKnown(sql, registry)}`
}

async function handOut(tick: OpenTick, now: Date, dependencies: HandOutDependencies): Promise<void> {
  const { database, registry } = dependencies
  const task = registry.get(tick.taskId)
  const schedule = findDeclared(task, tick.key) ?? extraSchedule(task, tick.key)
  const page = { after: tick.afterTenant, limit: tenantsPerBatch }
  const members = await findMembers(database, schedule, tick, page)
  const free = await withoutOverlap(schedule, members, dependencies)
  const occasion = {
    name: nameOfTime(tick.cron, tick.timezone, tick.nominalAt),
    // One that comes late is spread from when it came.
    inMs: Math.max(tick.nominalAt.getTime(), tick.madeAt.getTime()) - now.getTime(),
  }
  const requests = free.map((member) => toRequest(schedule, member, occasion))
  if (requests.length > 0) await enqueue(requests, dependencies)
  const isLast = members.length < tenantsPerBatch
  await noteBatch(tick, members, free.length, isLast ? now : null, database)
}

/** Ticks of one schedule take turns here, so that each sees the runs of the one before. */
async function withoutOverlap(
  schedule: Schedule,
  members: readonly Member[],
  { database: { sql }, engine }: HandOutDependencies,
): Promise<readonly Member[]> {
  if (schedule.rule.overlap === 'allow' || members.length === 0) return members
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`cgk overlap ${scheduleId(schedule)}`}, 0))`
  const tenantIds = members.map(({ tenantId }) => tenantId)
  const busy = new Set(
    await leaveScopes(() => engine.tenantsWithOpenRun(schedule.taskId, scheduleTag(schedule), tenantIds)),
  )
  return members.filter(({ tenantId }) => !busy.has(tenantId))
}

async function enqueue(
  requests: Parameters<Engine['enqueue']>[0],
  { engine }: Pick<HandOutDependencies, 'engine'>,
): Promise<void> {
  const { transaction } = currentScope()!
  if (engine.enqueuesInTransaction) await engine.enqueue(requests, transaction)
  else await leaveScopes(() => engine.enqueue(requests, null))
}

async function noteBatch(
  tick: OpenTick,
  members: readonly Member[],
  runs: number,
  finishedAt: Date | null,
  { sql }: Database,
): Promise<void> {
  await sql`
    UPDATE public.platform_schedule_ticks SET
      after_tenant = ${members.at(-1)?.tenantId ?? tick.afterTenant}, finished_at = ${finishedAt},
      runs = runs + ${runs}, overlapping = overlapping + ${members.length - runs}
    WHERE (task_id, key, cron, timezone, nominal_at)
      = (${tick.taskId}, ${tick.key}, ${tick.cron}, ${tick.timezone}, ${tick.nominalAt})`
}

/** The others are not to wait for it. */
async function putOff(tick: OpenTick, now: Date, { sql }: Database): Promise<void> {
  await sql`
    UPDATE public.platform_schedule_ticks
    SET next_try_at = ${now}::timestamptz + make_interval(secs => ${nextTryAfterSeconds})
    WHERE (task_id, key, cron, timezone, nominal_at)
      = (${tick.taskId}, ${tick.key}, ${tick.cron}, ${tick.timezone}, ${tick.nominalAt})`
}

function describe({ taskId, key, nominalAt }: OpenTick): object {
  return { schedule: scheduleId({ taskId, key }), nominalAt }
}
