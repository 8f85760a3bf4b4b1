/** Reading and steering schedules: what an app, the CLI and the HTTP API call. */
import { randomUUID } from 'node:crypto'
import type { Database } from '../db/database.ts'
import type { Engine } from '../engines/engine.ts'
import { InvalidScheduleError, UnknownScheduleError, UnknownTenantError } from '../errors.ts'
import type { TaskRegistry } from '../task/registry.ts'
import type { TenantDirectory } from '../tenants/directory.ts'
import { type ListedSchedule, listSchedules } from './list.ts'
import { pauseForAll, pauseForTenant, resumeForAll, resumeForTenant } from './pausing.ts'
import { runNow } from './run-now.ts'
import { extraSchedule, findDeclared, parseScheduleId, type Schedule, scheduleId } from './schedule.ts'
import { deleteSettings, hasExtra, readSettings, type ScheduleSettings, writeSettings } from './settings.ts'
import type { Ticker } from './ticker.ts'
import { withinTenantOnly } from './within-tenant.ts'

/**
 * Schedules are named by their task and their key: `orders/reconcile:default`, or `orders/reconcile` for short. Inside a
 * tenant's context they are that tenant's: of another throws TenantMismatchError, for all InsideTenantError.
 */
export interface Schedules {
  /** What holds for a tenant; without one, what tasks say and what tenants have otherwise. `count`: next times, 5. */
  list(options?: { tenantId?: string; count?: number }): Promise<ListedSchedule[]>
  /**
   * Changes it for a tenant; what is left out stays, null is as the task says. `extra: true` makes one that the task does
   * not declare, and needs a cron. Times before now are none of the change's, also those not handed out yet.
   *
   * Throws UnknownTaskError, UnknownScheduleError, UnknownTenantError, InvalidScheduleError, InvalidPayloadError.
   */
  set(
    tenantId: string,
    schedule: string,
    settings: ScheduleSettings & { extra?: boolean },
  ): Promise<ListedSchedule>
  /** As the task says again, pausing included; an extra one is gone. False: it was so. */
  reset(tenantId: string, schedule: string): Promise<boolean>
  /** For one tenant, or for all. Times that come while it is paused are not made up for; those before have their runs. */
  pause(schedule: string, options?: { tenantId?: string }): Promise<void>
  resume(schedule: string, options?: { tenantId?: string }): Promise<void>
  /**
   * Runs it now, paused or not, for one tenant or for every active one. Answers the ids of the runs. The same
   * `invocation` (a text of yours) answers the same runs, so what was cut off can be repeated.
   */
  run(
    schedule: string,
    options?: { tenantId?: string | undefined; invocation?: string | undefined },
  ): Promise<string[]>
}

export interface SchedulesDependencies {
  database: Database
  directory: TenantDirectory
  engine: Engine
  registry: TaskRegistry
  ticker: Ticker
  maxPayloadBytes: number
}

export function createSchedules(ready: () => Promise<SchedulesDependencies>): Schedules {
  const list: Schedules['list'] = async ({ tenantId, count = 5 } = {}) => {
    if (!Number.isInteger(count) || count < 0 || count > 100) {
      throw new InvalidScheduleError('count must be a whole number from 0 to 100.')
    }
    const dependencies = await ready()
    if (tenantId !== undefined) await requireTenant(dependencies, tenantId)
    const { database, registry, ticker } = dependencies
    const now = await ticker.now()
    return await listSchedules(database, registry, { tenantId: tenantId ?? null, count, now })
  }

  return withinTenantOnly({
    list,

    async set(tenantId, name, { extra = false, ...given }) {
      const dependencies = await ready()
      const { database, registry, ticker, maxPayloadBytes } = dependencies
      await requireTenant(dependencies, tenantId)
      const task = registry.get(parseScheduleId(name).taskId)
      const settings = await readSettings(task, tenantId, given, maxPayloadBytes)
      const schedule = extra
        ? await requireExtra(dependencies, tenantId, name, settings.cron)
        : await find(dependencies, name, tenantId)
      refuseOthers(schedule, tenantId)
      const isExtra = schedule.rule.cron === null
      if (isExtra && settings.cron === null) throw needsCron()
      await ticker.change((at) =>
        writeSettings(database, tenantId, schedule, settings, { extra: isExtra, at }),
      )
      const listed = await list({ tenantId })
      return listed.find(({ id }) => id === scheduleId(schedule))!
    },

    async reset(tenantId, name) {
      const dependencies = await ready()
      await requireTenant(dependencies, tenantId)
      const key = parseScheduleId(name)
      const { database, ticker } = dependencies
      return await ticker.change((at) => deleteSettings(database, tenantId, key, at))
    },

    async pause(name, { tenantId } = {}) {
      const dependencies = await ready()
      const { database, ticker } = dependencies
      const schedule = await find(dependencies, name, tenantId ?? null)
      if (tenantId === undefined) return await ticker.change((at) => pauseForAll(database, schedule, at))
      await requireTenant(dependencies, tenantId)
      await ticker.change((at) => pauseForTenant(database, tenantId, schedule, at))
    },

    async resume(name, { tenantId } = {}) {
      const dependencies = await ready()
      const { database, ticker } = dependencies
      const schedule = await find(dependencies, name, tenantId ?? null)
      if (tenantId === undefined) return await ticker.change(() => resumeForAll(database, schedule))
      await requireTenant(dependencies, tenantId)
      await ticker.change((at) => resumeForTenant(database, tenantId, schedule, at))
    },

    async run(name, { tenantId, invocation = randomUUID() } = {}) {
      const dependencies = await ready()
      if (tenantId !== undefined) await dependencies.directory.admit(tenantId)
      const schedule = await find(dependencies, name, tenantId ?? null)
      if (tenantId !== undefined) refuseOthers(schedule, tenantId)
      const runIds = await runNow(dependencies, schedule, { tenantId: tenantId ?? null, invocation })
      if (tenantId === undefined || runIds.length > 0) return runIds
      throw new InvalidScheduleError(`Tenant "${tenantId}" is not active yet, so its schedules do not run.`)
    },
  })
}

async function requireTenant({ directory }: SchedulesDependencies, tenantId: string): Promise<void> {
  if (!(await directory.find(tenantId))) throw new UnknownTenantError(tenantId)
}

/** One that the task declares, or an extra one of this tenant (null: of any). @throws UnknownScheduleError */
async function find(
  { database, registry }: SchedulesDependencies,
  name: string,
  tenantId: string | null,
): Promise<Schedule> {
  const { taskId, key } = parseScheduleId(name)
  const task = registry.get(taskId)
  const declared = findDeclared(task, key)
  if (declared) return declared
  if (await hasExtra(database, tenantId, { taskId, key })) return extraSchedule(task, key)
  const known = task.schedules.map((rule) => scheduleId({ taskId, key: rule.key }))
  throw new UnknownScheduleError(scheduleId({ taskId, key }), known)
}

/** Who means to make one must not change another. */
async function requireExtra(
  { database, registry }: SchedulesDependencies,
  tenantId: string,
  name: string,
  cron: string | null | undefined,
): Promise<Schedule> {
  const { taskId, key } = parseScheduleId(name)
  const task = registry.get(taskId)
  if (findDeclared(task, key)) {
    throw new InvalidScheduleError(
      `${scheduleId({ taskId, key })} is declared by its task. Give an extra schedule a key of its own.`,
    )
  }
  if (cron == null && !(await hasExtra(database, tenantId, { taskId, key }))) {
    throw needsCron()
  }
  return extraSchedule(task, key)
}

function needsCron(): InvalidScheduleError {
  return new InvalidScheduleError('An extra schedule needs a cron.')
}

function refuseOthers(schedule: Schedule, tenantId: string): void {
  const { onlyTenant } = schedule.rule
  if (onlyTenant === null || onlyTenant === tenantId) return
  throw new InvalidScheduleError(`${scheduleId(schedule)} runs for tenant "${onlyTenant}" alone.`)
}
