/** One tick makes exactly one run for every active tenant, on both engines that are here. */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { lockPlanning } from '../../src/schedules/plan.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import type { TaskSchedule } from '../../src/task/schedule.ts'
import {
  addTenant,
  broken,
  changeTenant,
  changeTenantAt,
  countRuns,
  database,
  deploy,
  engine,
  intercept,
  runsOf,
  schedules,
  tickAt,
  useSchedules,
} from './kit.ts'

const payload = tenantPayload({ limit: z.number().default(1) })
const define = (id: string, ...schedules: TaskSchedule<typeof payload>[]) =>
  defineTask({ id, payload, schedules, run: () => null })

const nightly = define('tick/nightly', { cron: '0 3 * * *' })
const local = define('tick/local', { cron: '30 2 * * *', timezone: 'tenant' })
const hourly = define('tick/hourly', { cron: '0 * * * *', timezone: 'tenant', payload: { limit: 7 } })
const spread = define('tick/spread', { cron: '0 3 * * *', window: '1h' })
const alone = define('tick/alone', { cron: '0 * * * *', overlap: 'skip' })
const missed = define(
  'tick/missed',
  { key: 'skip', cron: '0 * * * *', catchUp: 'skip' },
  { key: 'once', cron: '0 * * * *', catchUp: 'once' },
  { key: 'all', cron: '0 * * * *', catchUp: 'all' },
)
const tasks = [nightly, local, hourly, spread, alone, missed]

describe.each(['inline', 'pg-boss'] as const)('%s', (name) => {
  useSchedules(name, tasks)

  test('one run for each active tenant, that says where it comes from', async () => {
    const [one, two, suspended, onboarding] = [
      await addTenant(),
      await addTenant('Asia/Tokyo'),
      await addTenant(),
      await addTenant(),
    ]
    await changeTenant(suspended, 'status', 'suspended')
    await changeTenant(onboarding, 'status', 'onboarding')
    await tickAt('2027-03-01T02:59:59')
    expect(await countRuns(one)).toBe(0)
    await tickAt('2027-03-01T03:00:00')
    for (const tenantId of [one, two]) {
      expect(await runsOf(tenantId, nightly)).toMatchObject([
        { tenantId, payload: { tenantId }, tags: ['schedule:default'], state: 'queued', maxAttempts: 3 },
      ])
      expect((await runsOf(tenantId, hourly))[0]!.payload).toEqual({ tenantId, limit: 7 })
    }
    expect([await countRuns(suspended), await countRuns(onboarding)]).toEqual([0, 0])
  })

  test('however many tick, and however often', async () => {
    const tenants = [await addTenant(), await addTenant(), await addTenant()]
    await tickAt('2027-03-01T02:59')
    const processes = Array.from({ length: 5 }, () => deploy(tasks).ticker)
    await Promise.all(processes.map((process) => tickAt('2027-03-01T03:00', process)))
    await Promise.all(processes.map((process) => tickAt('2027-03-01T03:00:20', process)))
    for (const tenantId of tenants) expect(await countRuns(tenantId, nightly)).toBe(1)
  })

  test('a tick whose notes were lost is handed out again as the same runs', async () => {
    const tenantId = await addTenant()
    await tickAt('2027-03-01T02:59')
    await tickAt('2027-03-01T03:00')
    const before = await runsOf(tenantId, nightly)
    await database.query("UPDATE public.platform_schedule_ticks SET after_tenant = '', finished_at = NULL")
    await tickAt('2027-03-01T03:01')
    expect(await runsOf(tenantId, nightly)).toEqual(before)
  })

  test('each tenant by its own clock, on the days that clocks are changed', async () => {
    const [berlin, tokyo] = [await addTenant('Europe/Berlin'), await addTenant('Asia/Tokyo')]
    await tickAt('2027-03-28T00:30')
    await tickAt('2027-03-28T01:00')
    expect([await countRuns(berlin, local), await countRuns(tokyo, local)]).toEqual([1, 0])
    await tickAt('2027-03-28T17:30')
    expect([await countRuns(berlin, local), await countRuns(tokyo, local)]).toEqual([1, 1])
    const autumn = await addTenant('Europe/Berlin')
    await changeTenant(autumn, 'active_since', '2027-10-30T12:00Z')
    for (const clock of ['00:00', '00:30', '01:00', '01:30', '02:00']) await tickAt(`2027-10-31T${clock}`)
    // 02:30 comes twice: one run. Every hour: 02:00 twice, and 03:00.
    expect([await countRuns(autumn, local), await countRuns(autumn, hourly)]).toEqual([1, 3])
  })

  test('a schedule that is new has no times of before', async () => {
    const tenantId = await addTenant()
    await tickAt('2027-03-01T03:00:30')
    await tickAt('2027-03-01T03:01')
    expect(await countRuns(tenantId)).toBe(0)
  })

  test('a tenant gets nothing of a time before it was active', async () => {
    const [late, resumed] = [await addTenant(), await addTenant()]
    await tickAt('2027-03-01T02:30')
    await changeTenant(late, 'active_since', '2027-03-01T03:00:01Z')
    await changeTenant(resumed, 'active_since', '2027-03-01T05:30Z')
    await tickAt('2027-03-01T05:45')
    expect([await countRuns(late, nightly), await countRuns(resumed, nightly)]).toEqual([0, 0])
    await tickAt('2027-03-02T03:00')
    expect([await countRuns(late, nightly), await countRuns(resumed, nightly)]).toEqual([1, 1])
  })

  test('Postgres itself notes since when a tenant is active', async () => {
    const tenantId = await addTenant()
    const since = async () => {
      const { rows } = await database.query<{ active_since: Date }>(
        'SELECT active_since FROM public.organizations WHERE slug = $1',
        [tenantId],
      )
      return rows[0]!.active_since.getTime()
    }
    const before = await since()
    await changeTenant(tenantId, 'timezone', 'Asia/Tokyo')
    await changeTenant(tenantId, 'status', 'suspended')
    expect(await since()).toBe(before)
    await changeTenant(tenantId, 'status', 'active')
    expect(await since()).toBeGreaterThan(before)
  })

  test('what was missed is made up for as the schedule says', async () => {
    const tenantId = await addTenant()
    await tickAt('2027-03-01T09:10')
    await tickAt('2027-03-01T13:50')
    const tags = (await runsOf(tenantId, missed)).map((run) => run.tags[0])
    expect(tags.sort()).toEqual([...Array(4).fill('schedule:all'), 'schedule:once'])
  })

  test('a clock that goes back makes nothing twice', async () => {
    const tenantId = await addTenant()
    await tickAt('2027-03-01T02:59')
    await tickAt('2027-03-01T03:10')
    await tickAt('2027-03-01T02:40')
    await tickAt('2027-03-01T03:05')
    await tickAt('2027-03-01T03:11')
    expect(await countRuns(tenantId, nightly)).toBe(1)
  })

  test('a window spreads the runs, each tenant always at its place', async () => {
    const tenants = await Promise.all(Array.from({ length: 20 }, () => addTenant()))
    await tickAt('2027-03-01T02:59')
    await tickAt('2027-03-01T03:00')
    await tickAt('2027-03-02T03:00')
    const delays: number[] = []
    for (const tenantId of tenants) {
      const waits = (await runsOf(tenantId, spread)).map(({ runAt, createdAt }) => +runAt - +createdAt)
      expect(waits).toHaveLength(2)
      expect(waits.every((wait) => wait >= 0 && wait < 3_600_000)).toBe(true)
      expect(Math.abs(waits[0]! - waits[1]!)).toBeLessThan(2_000)
      delays.push(waits[0]!)
    }
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(600_000)
  })

  test('no overlap: a tenant whose run is open gets no new one, the others do', async () => {
    const [busy, idle] = [await addTenant(), await addTenant()]
    await tickAt('2027-03-01T03:59')
    await tickAt('2027-03-01T04:00')
    for (const run of await runsOf(idle, alone)) await engine.cancel(run.id)
    await tickAt('2027-03-01T05:00')
    expect([await countRuns(busy, alone), await countRuns(idle, alone)]).toEqual([1, 2])
    const { rows } = await database.query<{ runs: number; overlapping: number }>(
      "SELECT runs, overlapping FROM public.platform_schedule_ticks WHERE task_id = 'tick/alone' ORDER BY nominal_at",
    )
    expect(rows).toEqual([
      { runs: 2, overlapping: 0 },
      { runs: 1, overlapping: 1 },
    ])
    // What was triggered otherwise is not a run of the schedule.
    await engine.cancel((await runsOf(busy, alone))[0]!.id)
    await tickAt('2027-03-01T06:00')
    expect(await countRuns(busy, alone)).toBe(2)
  })

  test('a tenant that moves west has the time of a day once; one that moves east may miss it that day', async () => {
    const [west, east] = [await addTenant('UTC'), await addTenant('UTC')]
    await tickAt('2027-03-01T02:29')
    await tickAt('2027-03-01T02:30')
    expect(await countRuns(west, local)).toBe(1)
    await changeTenant(west, 'timezone', 'America/New_York')
    await changeTenant(east, 'timezone', 'Asia/Tokyo')
    await tickAt('2027-03-01T07:30')
    expect(await countRuns(west, local)).toBe(1)
    await tickAt('2027-03-01T17:30')
    expect(await countRuns(east, local)).toBe(2)
    await tickAt('2027-03-02T07:30')
    expect(await countRuns(west, local)).toBe(2)
  })

  test('an interval goes on through a change of the time zone', async () => {
    const tenantId = await addTenant('UTC')
    await tickAt('2027-03-01T08:59')
    await tickAt('2027-03-01T09:00')
    await changeTenant(tenantId, 'timezone', 'America/New_York')
    await tickAt('2027-03-01T10:00')
    await tickAt('2027-03-01T11:00')
    expect(await countRuns(tenantId, hourly)).toBe(3)
  })

  test('a time zone that is none stops its tenant alone', async () => {
    const [fine, broken] = [await addTenant('Asia/Tokyo'), await addTenant('Mars/Base')]
    await tickAt('2027-03-01T17:29')
    await tickAt('2027-03-01T17:30')
    expect([await countRuns(fine, local), await countRuns(broken, local)]).toEqual([1, 0])
    expect(await countRuns(broken, nightly)).toBe(0)
  })

  test('a deploy with another cron makes no time of the past, and loses none that had come', async () => {
    const tenantId = await addTenant()
    const later = define('tick/nightly', { cron: '0 4 * * *' })
    await tickAt('2027-03-01T02:50')
    await tickAt('2027-03-01T04:30', deploy([later]).ticker)
    expect((await runsOf(tenantId, nightly)).map(({ payload }) => payload)).toEqual([{ tenantId }])
    const { rows } = await database.query<{ cron: string }>('SELECT cron FROM public.platform_schedule_ticks')
    expect(rows).toEqual([{ cron: '0 3 * * *' }])
    await tickAt('2027-03-02T04:00', deploy([later]).ticker)
    expect(await countRuns(tenantId, nightly)).toBe(2)
  })

  test('a tick that was made and not handed out is handed out by a deploy with another cron', async () => {
    const [one, two] = [await addTenant(), await addTenant()]
    await tickAt('2027-03-01T02:59')
    await tickAt('2027-03-01T03:00', deploy([nightly], broken(engine)).ticker)
    expect([await countRuns(one), await countRuns(two)]).toEqual([0, 0])
    await tickAt('2027-03-01T03:01', deploy([define('tick/nightly', { cron: '0 4 * * *' })]).ticker)
    expect([await countRuns(one, nightly), await countRuns(two, nightly)]).toEqual([1, 1])
  })

  test('what a process does not have in its registry is left to others', async () => {
    const tenantId = await addTenant()
    await tickAt('2027-03-01T02:59')
    await tickAt('2027-03-01T03:01', deploy([hourly]).ticker)
    expect([await countRuns(tenantId, nightly), await countRuns(tenantId, hourly)]).toEqual([0, 1])
    await tickAt('2027-03-01T03:01:30')
    expect(await countRuns(tenantId, nightly)).toBe(1)
  })

  test('a schedule that cannot be handed out keeps no other waiting, and is tried again', async () => {
    const tenantId = await addTenant()
    await tickAt('2027-03-01T02:59')
    const refusing = deploy(tasks, broken(engine, nightly.id)).ticker
    await tickAt('2027-03-01T03:00', refusing)
    expect([await countRuns(tenantId, nightly), await countRuns(tenantId, hourly)]).toEqual([0, 1])
    await tickAt('2027-03-01T03:00:31')
    expect(await countRuns(tenantId, nightly)).toBe(1)
  })

  test('for one tenant: the one that the payload names', async () => {
    const [mine, other] = [await addTenant('Europe/Berlin'), await addTenant('Europe/Berlin')]
    const platform = define('tick/platform', {
      cron: '0 3 * * *',
      timezone: 'tenant',
      each: 'platform',
      payload: { tenantId: mine, limit: 2 },
    })
    const { ticker } = deploy([platform])
    await tickAt('2027-03-01T01:59', ticker)
    await tickAt('2027-03-01T02:00', ticker)
    expect(await runsOf(mine, platform)).toMatchObject([{ payload: { tenantId: mine, limit: 2 } }])
    expect(await countRuns(other, platform)).toBe(0)
  })

  test('old ticks are forgotten', async () => {
    await addTenant()
    await tickAt('2027-03-01T02:59')
    await tickAt('2027-03-01T03:00')
    await tickAt('2027-03-09T03:30')
    const { rows } = await database.query<{ oldest: Date }>(
      'SELECT min(made_at) AS oldest FROM public.platform_schedule_ticks',
    )
    expect(rows[0]!.oldest).toEqual(new Date('2027-03-09T03:30Z'))
  })

  test('one that is still to be handed out is not forgotten, nor what was at its time', async () => {
    const tenantId = await addTenant('Asia/Tokyo')
    const refusing = deploy([local], broken(engine)).ticker
    await tickAt('2027-03-01T17:29')
    await tickAt('2027-03-01T17:30', refusing)
    await changeTenantAt('2027-03-01T17:31', tenantId, 'timezone', 'UTC')
    await tickAt('2027-03-09T18:00', refusing)
    const past = async () => (await database.query('SELECT FROM public.platform_tenant_past')).rowCount
    expect(await past()).toBe(1)
    await tickAt('2027-03-09T18:01')
    // That one, and the last of those that nobody planned meanwhile.
    expect(await countRuns(tenantId, local)).toBe(2)
    await tickAt('2027-03-17T18:01')
    expect(await past()).toBe(0)
  })

  test('a time zone that its last tenant has left before the time was planned', async () => {
    const [plainly, withOwn] = [await addTenant('Asia/Tokyo'), await addTenant('Asia/Seoul')]
    await tickAt('2027-03-01T17:29')
    await database.query(
      `INSERT INTO public.platform_schedules (tenant_id, task_id, key, extra, payload)
       VALUES ($1, 'tick/local', 'default', false, '{"limit": 5}')`,
      [withOwn],
    )
    for (const tenantId of [plainly, withOwn]) {
      await changeTenantAt('2027-03-01T17:30:05', tenantId, 'timezone', 'Europe/Berlin')
    }
    await tickAt('2027-03-01T17:30:10')
    expect([await countRuns(plainly, local), await countRuns(withOwn, local)]).toEqual([1, 1])
  })

  test('a time zone that its last tenant has left by being suspended before the time was planned', async () => {
    const tenantId = await addTenant('Asia/Tokyo')
    await tickAt('2027-03-01T17:29')
    await changeTenantAt('2027-03-01T17:30:05', tenantId, 'status', 'suspended')
    await tickAt('2027-03-01T17:30:10')
    expect(await countRuns(tenantId, local)).toBe(1)
  })

  test('nobody changes a time zone or a setting while somebody plans', async () => {
    const tenantId = await addTenant()
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
    const { promise: locked, resolve: onLocked } = Promise.withResolvers<void>()
    const planning = database.transaction(async () => {
      await lockPlanning(database)
      onLocked()
      await held
    })
    await locked
    const done: string[] = []
    const changes = [
      changeTenant(tenantId, 'timezone', 'Asia/Tokyo').then(() => done.push('zone')),
      schedules.set(tenantId, 'tick/nightly', { cron: '0 4 * * *' }).then(() => done.push('setting')),
    ]
    await untilWaiting(2)
    await changeTenant(await addTenant(), 'status', 'suspended')
    expect(done).toEqual([])
    letGo()
    await Promise.all([planning, ...changes])
  })
})

describe('2,500 tenants', () => {
  useSchedules('pg-boss', [nightly])

  test('are handed out in batches; who is suspended between two of them has its run wait', async () => {
    await database.query(`
      INSERT INTO public.organizations (slug, name, status)
      SELECT 'many_' || to_char(number, 'FM0000'), 'x', 'active' FROM generate_series(1, 2500) AS number`)
    await tickAt('2027-03-01T02:59')
    let batches = 0
    const suspending = intercept(engine, async (requests) => {
      batches += 1
      if (batches === 1) await changeTenantAt('2027-03-01T03:00:01', 'many_2400', 'status', 'suspended')
      return requests
    })
    await tickAt('2027-03-01T03:00', deploy([nightly], suspending).ticker)
    expect(batches).toBe(3)
    const { rows } = await database.query<{ runs: number; tenants: number; suspended: number }>(`
      SELECT count(*)::int AS runs, count(DISTINCT group_id)::int AS tenants,
        count(*) FILTER (WHERE group_id = 'many_2400')::int AS suspended
      FROM pgboss.job WHERE group_id LIKE 'many%'`)
    expect(rows).toEqual([{ runs: 2_500, tenants: 2_500, suspended: 1 }])
  })
})

/** Answers when so many in this database wait for a lock. */
async function untilWaiting(waiting: number): Promise<void> {
  for (;;) {
    const { rows } = await database.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    if (rows.length === waiting) return
  }
}
