/**
 * What tests of schedules share: an engine, tenants that are rows and no more (nothing is run), and a moment that the
 * test names. Moments lie in 2027 and later, after every tenant here was made.
 */
import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { Database } from '../../src/db/database.ts'
import type { Engine } from '../../src/engines/engine.ts'
import { createSchedules, type Schedules } from '../../src/schedules/schedules.ts'
import { Ticker } from '../../src/schedules/ticker.ts'
import type { AnyTask } from '../../src/task/define.ts'
import { TaskRegistry } from '../../src/task/registry.ts'
import type { Run } from '../../src/task/run.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

export let kit: TestPlatform
export let database: Database
export let engine: Engine
/** Of the tasks that the file has; what another deploy would have is made with `deploy`. */
export let schedules: Schedules
export let ticker: Ticker
let moment = new Date()
let made = 0

export function useSchedules(name: 'inline' | 'pg-boss', tasks: readonly AnyTask[]): void {
  beforeAll(async () => {
    kit = await createTestPlatform({ engine: name, tasks })
    ;({ database, engine } = await kit.platform.ready())
  })
  afterAll(() => kit.close())

  beforeEach(async () => {
    await database.script(`
      TRUNCATE public.platform_schedules, public.platform_schedule_progress, public.platform_schedule_ticks;
      DELETE FROM public.organizations`)
    ;({ ticker, schedules } = deploy(tasks))
  })
}

/** A process with these tasks. */
export function deploy(
  tasks: readonly AnyTask[],
  on: Engine = engine,
): { ticker: Ticker; schedules: Schedules } {
  const registry = new TaskRegistry(tasks)
  const { logger, config } = kit.platform
  const made = new Ticker({ database, engine: on, registry, logger, now: () => moment })
  return {
    ticker: made,
    schedules: createSchedules(async () => {
      const { directory } = await kit.platform.ready()
      directory.invalidate()
      return {
        database,
        directory,
        engine: on,
        registry,
        ticker: made,
        maxPayloadBytes: config.maxPayloadBytes,
      }
    }),
  }
}

/** `2027-03-01T09:00`, in UTC. */
export function now(clock: string): void {
  moment = new Date(`${clock}Z`)
}

export async function tickAt(clock: string, by = ticker): Promise<void> {
  now(clock)
  await by.tick()
}

/** A tenant that is active, and was before the test began. */
export async function addTenant(timezone = 'UTC'): Promise<string> {
  made += 1
  const slug = `tick_${process.pid}_${made}`
  await database.query(
    "INSERT INTO public.organizations (slug, name, timezone, status) VALUES ($1, $1, $2, 'active')",
    [slug, timezone],
  )
  return slug
}

export async function changeTenant(
  slug: string,
  column: 'status' | 'timezone' | 'active_since',
  value: string,
) {
  await database.query(`UPDATE public.organizations SET ${column} = $2 WHERE slug = $1`, [slug, value])
}

/** At a moment of the test, where Postgres notes its own. */
export async function changeTenantAt(
  clock: string,
  slug: string,
  column: 'status' | 'timezone',
  value: string,
) {
  now(clock)
  const { sql } = database
  // What is handed out at the same time sees the moment of the test, or nothing of it.
  await database.transaction(async () => {
    await sql`UPDATE public.organizations SET ${sql.identifier(column)} = ${value} WHERE slug = ${slug}`
    if (value === 'active')
      await sql`UPDATE public.organizations SET active_since = ${moment} WHERE slug = ${slug}`
    await sql`
      UPDATE public.platform_tenant_past SET until = ${moment} WHERE tenant_id = ${slug} AND until < clock_timestamp()`
  })
}

/** The engine, with a look at what it is asked to enqueue. */
export function intercept(
  real: Engine,
  look: (requests: readonly { taskId: string }[]) => Promise<unknown>,
): Engine {
  return new Proxy(real, {
    get(target, name) {
      if (name === 'enqueue') {
        return async (...[requests, transaction]: Parameters<Engine['enqueue']>) => {
          await look(requests)
          return await target.enqueue(requests, transaction)
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Takes nothing, or nothing of one task. */
export function broken(real: Engine, taskId?: string): Engine {
  return intercept(real, async ([first]) => {
    if (taskId === undefined || first!.taskId === taskId) throw new Error('out of order')
  })
}

/** The runs of a tenant, oldest first. */
export async function runsOf(tenantId: string, task?: AnyTask): Promise<Run[]> {
  const page = await engine.list({ tenantId, limit: 1_000, ...(task && { taskId: task.id }) })
  return page.runs.reverse()
}

export async function countRuns(tenantId: string, task?: AnyTask): Promise<number> {
  return (await runsOf(tenantId, task)).length
}
