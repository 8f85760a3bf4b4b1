import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ListedSchedule } from '../../src/schedules/list.ts'
import type { Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment } from './cgk.ts'

let database: TestDatabase
let env: Environment
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url }
  await cgk(['tenant:create', 'shop', '--timezone', 'Asia/Tokyo'], env)
  await cgk(['tenant:create', 'other'], env)
})
afterAll(() => database.drop())

const cronTasks = [
  'creators/weekly-digest',
  'digest/admin-daily',
  'email/process-queue',
  'orders/reconcile',
  'payouts/check-pending',
  'payouts/mature-commissions',
  'products/sync-batch',
  'treasury/low-balance-alert',
  'treasury/sync-topups',
]

describe('schedule:list', () => {
  test("the repo's own, with the next five times of each by its clock", async () => {
    const [text, all, mine] = await Promise.all([
      cgk(['schedule:list', '--next', '2'], env),
      cgkJson<ListedSchedule[]>(['schedule:list'], env),
      cgkJson<ListedSchedule[]>(['schedule:list', '--tenant', 'shop'], env),
    ])
    expect(all.map(({ taskId }) => taskId)).toEqual(cronTasks)
    expect(all.every(({ next, tenantId }) => next.length === 5 && tenantId === null)).toBe(true)
    expect(mine.map(({ taskId }) => taskId)).toEqual(cronTasks)
    expect(mine.find(({ taskId }) => taskId === 'digest/admin-daily')!.next[0]).toMatchObject({
      clock: expect.stringMatching(/T08:00$/),
      offset: '+09:00',
    })
    expect(text).toMatchObject({ code: 0, stderr: '' })
    expect(text.stdout).toMatch(/^schedule +tenant +cron +time zone +next$/m)
    expect(text.stdout).toMatch(
      /^products\/sync-batch +each +0 3 \* \* \* +UTC +\w{3} \d{4}-\d\d-\d\d 03:00 \+00:00\n +\w{3} \d{4}-\d\d-\d\d 03:00 \+00:00$/m,
    )
    expect(text.stdout).toMatch(/^digest\/admin-daily +each .* the tenant's +\w{3} \S+ 08:00 there$/m)
  })

  test('refuses a tenant that is none, and a number that is none', async () => {
    const [tenant, number] = await Promise.all([
      cgk(['schedule:list', '--tenant', 'nobody'], env),
      cgk(['schedule:list', '--next', '101'], env),
    ])
    expect(tenant).toMatchObject({
      code: 1,
      stdout: '',
      stderr: sentence('no tenant "nobody"', 'TENANT_UNKNOWN'),
    })
    expect(number).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('schedule:set', () => {
  test('says what holds now and when it comes; --reset takes it back', async () => {
    const set = ['schedule:set', 'shop', 'orders/reconcile']
    const text = await cgk([...set, '--cron', '15 4 * * *', '--timezone', 'tenant'], env)
    expect(text).toMatchObject({ code: 0, stderr: '' })
    expect(text.stdout).toMatch(/^orders\/reconcile +shop \(changed\) +15 4 \* \* \* +the tenant's$/m)
    expect(text.stdout.match(/^ {2}\w{3} \S+ 04:15 \+09:00$/gm)).toHaveLength(5)
    const json = await cgkJson<ListedSchedule>([...set, '--payload', '{"maxOrders":9}'], env)
    expect(json).toMatchObject({ cron: '15 4 * * *', payload: { maxOrders: 9 }, origin: 'changed' })
    expect(await cgk([...set, '--reset'], env)).toMatchObject({
      code: 0,
      stdout: 'orders/reconcile of shop has no settings of its own any more.\n',
    })
    expect(await cgkJson([...set, '--reset'], env)).toMatchObject({ changed: false })
  })

  test('--extra: one that the task does not declare', async () => {
    const extra = ['schedule:set', 'shop', 'orders/reconcile:wide', '--extra', '--cron', '0 4 * * *']
    const json = await cgkJson<ListedSchedule>([...extra, '--payload', '{"lookbackHours":48}'], env)
    expect(json).toMatchObject({
      id: 'orders/reconcile:wide',
      origin: 'extra',
      payload: { lookbackHours: 48 },
    })
    await cgk(['schedule:set', 'shop', 'orders/reconcile:wide', '--reset'], env)
  })

  test('refuses what it cannot use', async () => {
    const set = (...args: string[]) => cgk(['schedule:set', 'shop', 'orders/reconcile', ...args], env)
    const [cron, zone, payload, json, nothing, both, key, task, tenant] = await Promise.all([
      set('--cron', '61 * * * *'),
      set('--timezone', 'Mars/Base'),
      set('--payload', '{"maxOrders":0}'),
      set('--payload', 'hush'),
      set(),
      set('--reset', '--cron', '0 4 * * *'),
      cgk(['schedule:set', 'shop', 'orders/reconcile:wide', '--cron', '0 4 * * *'], env),
      cgk(['schedule:set', 'shop', 'orders/none', '--cron', '0 4 * * *'], env),
      cgk(['schedule:set', 'nobody', 'orders/reconcile', '--cron', '0 4 * * *'], env),
    ])
    expect(cron).toMatchObject({ code: 1, stderr: sentence('cron must be five fields', 'SCHEDULE_INVALID') })
    expect(zone).toMatchObject({ code: 1, stderr: sentence('timezone must be', 'SCHEDULE_INVALID') })
    expect(payload).toMatchObject({ code: 1, stderr: sentence('maxOrders', 'PAYLOAD_INVALID') })
    expect(json).toMatchObject({ code: 2, stderr: expect.stringContaining('It must be a JSON object') })
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('what is to change?') })
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('--reset goes alone') })
    expect(key).toMatchObject({
      code: 1,
      stderr: sentence('There are: orders/reconcile:default', 'SCHEDULE_UNKNOWN'),
    })
    expect(task).toMatchObject({ code: 1, stderr: sentence('no task "orders/none"', 'TASK_UNKNOWN') })
    expect(tenant).toMatchObject({ code: 1, stderr: sentence('no tenant "nobody"', 'TENANT_UNKNOWN') })
  })
})

describe('schedule:pause and schedule:resume', () => {
  test('for one tenant and for all', async () => {
    const isPaused = async (tenant: string) =>
      (await cgkJson<ListedSchedule[]>(['schedule:list', '--tenant', tenant], env)).find(
        ({ taskId }) => taskId === 'products/sync-batch',
      )!.isPaused
    const one = await cgk(['schedule:pause', 'products/sync-batch', '--tenant', 'shop'], env)
    expect(one.stdout).toBe(
      'products/sync-batch is paused for shop. Resume it with: cgk schedule:resume products/sync-batch --tenant shop\n',
    )
    expect([await isPaused('shop'), await isPaused('other')]).toEqual([true, false])
    await cgk(['schedule:resume', 'products/sync-batch', '--tenant', 'shop'], env)
    expect(await cgkJson(['schedule:pause', 'products/sync-batch'], env)).toEqual({
      schedule: 'products/sync-batch',
      tenantId: null,
      isPaused: true,
    })
    expect([await isPaused('shop'), await isPaused('other')]).toEqual([true, true])
    const listed = await cgk(['schedule:list'], env)
    expect(listed.stdout).toMatch(/^products\/sync-batch .* paused$/m)
    const all = await cgk(['schedule:resume', 'products/sync-batch'], env)
    expect(all.stdout).toBe('products/sync-batch is no longer paused for all tenants.\n')
    expect(await isPaused('other')).toBe(false)
  })

  test.each(['schedule:pause', 'schedule:resume'])('%s refuses what is not there', async (command) => {
    const [schedule, tenant] = await Promise.all([
      cgk([command, 'products/sync-batch:x'], env),
      cgk([command, 'products/sync-batch', '--tenant', 'nobody'], env),
    ])
    expect(schedule).toMatchObject({ code: 1, stderr: sentence('no schedule', 'SCHEDULE_UNKNOWN') })
    expect(tenant).toMatchObject({ code: 1, stderr: sentence('no tenant', 'TENANT_UNKNOWN') })
  })
})

describe('schedule:run', () => {
  test('now, for one tenant or for all; the same invocation is the same runs', async () => {
    const run = ['schedule:run', 'payouts/mature-commissions']
    const once = [...run, '--tenant', 'shop', '--invocation', 'today']
    const [one, again] = [await cgk(once, env), await cgkJson<{ runIds: string[] }>(once, env)]
    expect(one).toMatchObject({ code: 0, stdout: `${again.runIds[0]}\n` })
    expect(await cgkJson<Run>(['run:show', again.runIds[0]!], env)).toMatchObject({
      taskId: 'payouts/mature-commissions',
      tenantId: 'shop',
      state: 'queued',
      tags: ['schedule:default'],
    })
    expect(await cgk([...run, '--all'], env)).toMatchObject({
      code: 0,
      stdout: '2 runs of payouts/mature-commissions.\n',
    })
  })

  test('refuses what is not there, and not to know for whom', async () => {
    const [nobody, unknown, tenant, inline] = await Promise.all([
      cgk(['schedule:run', 'orders/reconcile'], env),
      cgk(['schedule:run', 'orders/reconcile:x', '--all'], env),
      cgk(['schedule:run', 'orders/reconcile', '--tenant', 'nobody'], env),
      cgk(['schedule:run', 'orders/reconcile', '--all'], { ...env, JOBS_ENGINE: 'inline' }),
    ])
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('for whom?') })
    expect(unknown).toMatchObject({ code: 1, stderr: sentence('no schedule', 'SCHEDULE_UNKNOWN') })
    expect(tenant).toMatchObject({ code: 1, stderr: sentence('no tenant', 'TENANT_UNKNOWN') })
    expect(inline).toMatchObject({ code: 1, stderr: sentence('JOBS_ENGINE=inline', 'CONFIG_INVALID') })
  })
})

function sentence(part: string, code: string): unknown {
  const escaped = part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return expect.stringMatching(new RegExp(`^cgk: .*${escaped}.* \\(${code}\\)\\n$`))
}
