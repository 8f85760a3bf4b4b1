/** What is changed, paused, run and listed, by whoever operates schedules. */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  InvalidPayloadError,
  InvalidScheduleError,
  TenantSuspendedError,
  UnknownScheduleError,
  UnknownTaskError,
  UnknownTenantError,
} from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import {
  addTenant,
  broken,
  changeTenant,
  changeTenantAt,
  countRuns,
  database,
  deploy,
  engine,
  now,
  runsOf,
  schedules,
  tickAt,
  useSchedules,
} from './kit.ts'

const payload = tenantPayload({ limit: z.number().max(10).default(1) })
const nightly = defineTask({
  id: 'set/nightly',
  payload,
  schedules: [{ cron: '0 3 * * *' }],
  run: () => null,
})
const local = defineTask({
  id: 'set/local',
  payload,
  schedules: [{ key: 'morning', cron: '0 8 * * *', timezone: 'tenant' }],
  run: () => null,
})
const main = defineTask({
  id: 'set/main',
  payload,
  schedules: [{ cron: '0 5 * * *', each: 'platform', payload: { tenantId: 'set_main' } }],
  run: () => null,
})
const plain = defineTask({ id: 'set/plain', payload, run: () => null })

describe.each(['inline', 'pg-boss'] as const)('%s', (name) => {
  useSchedules(name, [nightly, local, main, plain])

  describe('set', () => {
    test('another cron holds from now on, for this tenant alone', async () => {
      const [mine, other] = [await addTenant(), await addTenant()]
      await tickAt('2027-03-01T02:00')
      now('2027-03-01T02:30')
      const listed = await schedules.set(mine, 'set/nightly', { cron: '0  2,4 * * *', payload: { limit: 5 } })
      expect(listed).toMatchObject({ id: 'set/nightly:default', tenantId: mine, origin: 'changed' })
      expect(listed).toMatchObject({ cron: '0 2,4 * * *', timezone: 'UTC', payload: { limit: 5 } })
      expect(listed.next.map(({ clock }) => clock.slice(5))).toEqual([
        '03-01T04:00',
        '03-02T02:00',
        '03-02T04:00',
        '03-03T02:00',
        '03-03T04:00',
      ])
      await tickAt('2027-03-01T03:00')
      expect([await countRuns(mine), await countRuns(other)]).toEqual([0, 1])
      await tickAt('2027-03-01T04:00')
      expect((await runsOf(mine)).map((run) => run.payload)).toEqual([{ tenantId: mine, limit: 5 }])
      expect(await countRuns(other)).toBe(1)
    })

    test('what had come before the change is handed out by what held before it', async () => {
      const tenantId = await addTenant()
      await tickAt('2027-03-01T02:59')
      now('2027-03-01T03:05')
      await schedules.set(tenantId, 'set/nightly', { cron: '0 3,6 * * *' })
      await tickAt('2027-03-01T03:06')
      expect(await countRuns(tenantId)).toBe(1)
      await tickAt('2027-03-01T06:00')
      expect(await countRuns(tenantId)).toBe(2)
    })

    test('an extra one that is set right before its time has it', async () => {
      const tenantId = await addTenant()
      await tickAt('2027-03-01T03:59:50')
      now('2027-03-01T03:59:55')
      await schedules.set(tenantId, 'set/plain:daily', { extra: true, cron: '0 4 * * *' })
      await tickAt('2027-03-01T04:00:01')
      expect(await countRuns(tenantId)).toBe(1)
    })

    test('another time zone, and the one of the task again', async () => {
      const tenantId = await addTenant('Asia/Tokyo')
      now('2027-03-01T00:00')
      const [first] = (await schedules.set(tenantId, 'set/nightly', { timezone: 'tenant' })).next
      expect(first).toEqual({
        at: new Date('2027-03-01T18:00Z'),
        clock: '2027-03-02T03:00',
        offset: '+09:00',
      })
      await schedules.set(tenantId, 'set/nightly', { payload: { limit: 2 } })
      const listed = await schedules.set(tenantId, 'set/nightly', { timezone: null })
      expect(listed).toMatchObject({ timezone: 'UTC', cron: '0 3 * * *', payload: { limit: 2 } })
      await tickAt('2027-03-01T03:00')
      expect(await countRuns(tenantId)).toBe(1)
    })

    test('an extra schedule runs besides those of the task, and of tasks that have none', async () => {
      const [mine, other] = [await addTenant('Asia/Tokyo'), await addTenant()]
      now('2027-03-01T00:00')
      const settings = { extra: true, cron: '0 9 * * *', timezone: 'tenant', payload: { limit: 3 } }
      expect(await schedules.set(mine, 'set/plain:daily', settings)).toMatchObject({ origin: 'extra' })
      await schedules.set(other, 'set/nightly:noon', { extra: true, cron: '0 12 * * *' })
      await tickAt('2027-03-01T00:00:30')
      await tickAt('2027-03-02T00:00')
      expect(await runsOf(mine, plain)).toMatchObject([
        { payload: { tenantId: mine, limit: 3 }, tags: ['schedule:daily'] },
      ])
      expect(await countRuns(other, plain)).toBe(0)
      expect([await countRuns(mine, nightly), await countRuns(other, nightly)]).toEqual([1, 2])
      expect(await schedules.reset(mine, 'set/plain:daily')).toBe(true)
      await tickAt('2027-03-03T00:00')
      expect(await countRuns(mine, plain)).toBe(1)
    })

    test('of an extra schedule, too, what is not named stays', async () => {
      const tenantId = await addTenant()
      now('2027-03-01T00:00')
      await schedules.set(tenantId, 'set/plain:daily', {
        extra: true,
        cron: '0 9 * * *',
        payload: { limit: 3 },
      })
      const kept = { cron: '0 9 * * *', payload: { limit: 3 }, timezone: 'Asia/Tokyo' }
      for (const extra of [true, false]) {
        const settings = { extra, timezone: 'Asia/Tokyo' }
        expect(await schedules.set(tenantId, 'set/plain:daily', settings)).toMatchObject(kept)
      }
    })

    test('reset: as the task says again', async () => {
      const tenantId = await addTenant()
      now('2027-03-01T00:00')
      await schedules.set(tenantId, 'set/nightly', { cron: '0 4 * * *' })
      await schedules.pause('set/nightly', { tenantId })
      expect(await schedules.reset(tenantId, 'set/nightly')).toBe(true)
      expect(await schedules.reset(tenantId, 'set/nightly')).toBe(false)
      await tickAt('2027-03-01T03:00')
      expect(await countRuns(tenantId)).toBe(1)
    })

    test('a tenant that is deleted takes what it had along', async () => {
      const tenantId = await addTenant()
      now('2027-03-01T00:00')
      await schedules.set(tenantId, 'set/nightly', { cron: '0 4 * * *' })
      await database.query('DELETE FROM public.organizations WHERE slug = $1', [tenantId])
      const { rows } = await database.query('SELECT FROM public.platform_schedules')
      expect(rows).toEqual([])
    })

    test('refuses what it cannot use, and changes nothing', async () => {
      const tenantId = await addTenant()
      now('2027-03-01T00:00')
      const set = (schedule: string, settings: object, tenant = tenantId) =>
        schedules.set(tenant, schedule, settings)
      const cron = '0 4 * * *'
      await expect(set('set/nightly', { cron: '0 4 * *' })).rejects.toThrow(InvalidScheduleError)
      await expect(set('set/nightly', { cron: 5 })).rejects.toThrow(InvalidScheduleError)
      await expect(set('set/nightly', { cron: '0 0 31 2 *' })).rejects.toThrow(/come at some time/)
      await expect(set('set/nightly', { timezone: 'Mars/Base' })).rejects.toThrow(InvalidScheduleError)
      await expect(set('set/nightly', { zone: 'UTC' })).rejects.toThrow(/no setting zone/)
      await expect(set('set/nightly', { payload: { limit: 11 } })).rejects.toThrow(InvalidPayloadError)
      await expect(set('set/nightly', { payload: [] })).rejects.toThrow(InvalidPayloadError)
      await expect(set('set/nightly', { payload: { tenantId: 'other', more: 1 } })).rejects.toThrow(
        InvalidPayloadError,
      )
      await expect(set('set/none', { cron })).rejects.toThrow(UnknownTaskError)
      await expect(set('set/nightly:daily', { cron })).rejects.toThrow(UnknownScheduleError)
      await expect(set('set/nightly:A', { cron })).rejects.toThrow(InvalidScheduleError)
      await expect(set('set/nightly', { cron, extra: true })).rejects.toThrow(/declared by its task/)
      await expect(set('set/plain:daily', { extra: true })).rejects.toThrow(/needs a cron/)
      await expect(set('set/nightly', { cron }, 'nobody')).rejects.toThrow(UnknownTenantError)
      await expect(set('set/main', { cron })).rejects.toThrow(/runs for tenant "set_main" alone/)
      await schedules.set(tenantId, 'set/plain:daily', { extra: true, cron })
      await expect(set('set/plain:daily', { cron: null })).rejects.toThrow(/needs a cron/)
      const listed = await schedules.list({ tenantId })
      expect(listed.map(({ id, origin }) => [id, origin])).toEqual([
        ['set/local:morning', 'task'],
        ['set/nightly:default', 'task'],
        ['set/plain:daily', 'extra'],
      ])
    })
  })

  describe('pause and resume', () => {
    test('for one tenant: what came meanwhile is not made up for', async () => {
      const [mine, other] = [await addTenant(), await addTenant()]
      await tickAt('2027-03-01T02:00')
      await schedules.pause('set/nightly', { tenantId: mine })
      await schedules.pause('set/nightly', { tenantId: mine })
      await tickAt('2027-03-01T03:00')
      now('2027-03-01T03:30')
      expect((await schedules.list({ tenantId: mine })).filter(({ isPaused }) => isPaused)).toMatchObject([
        { id: 'set/nightly:default', next: [] },
      ])
      await schedules.resume('set/nightly', { tenantId: mine })
      await tickAt('2027-03-01T04:00')
      expect([await countRuns(mine, nightly), await countRuns(other, nightly)]).toEqual([0, 1])
      await tickAt('2027-03-02T03:00')
      expect([await countRuns(mine, nightly), await countRuns(other, nightly)]).toEqual([1, 2])
    })

    test('for all: also where nothing ticked meanwhile', async () => {
      const tenantId = await addTenant()
      await tickAt('2027-03-01T02:00')
      await schedules.pause('set/nightly')
      now('2027-03-03T03:30')
      expect(await schedules.list({ tenantId })).toContainEqual(
        expect.objectContaining({ id: 'set/nightly:default', isPaused: true, next: [] }),
      )
      await schedules.resume('set/nightly')
      await tickAt('2027-03-03T04:00')
      expect(await countRuns(tenantId, nightly)).toBe(0)
      await tickAt('2027-03-04T03:00')
      expect(await countRuns(tenantId, nightly)).toBe(1)
    })

    test('for all, before it was ever ticked', async () => {
      const tenantId = await addTenant()
      now('2027-03-01T02:00')
      await schedules.pause('set/nightly')
      await tickAt('2027-03-01T03:00')
      expect(await countRuns(tenantId, nightly)).toBe(0)
      await schedules.resume('set/nightly')
      await tickAt('2027-03-02T03:00')
      expect(await countRuns(tenantId, nightly)).toBe(1)
    })

    test('what had come before the pause and was not planned yet is handed out', async () => {
      const [one, two] = [await addTenant(), await addTenant()]
      await tickAt('2027-03-01T02:59')
      now('2027-03-01T03:00:30')
      await schedules.pause('set/nightly', { tenantId: one })
      now('2027-03-02T03:00:30')
      await schedules.pause('set/nightly')
      for (const clock of ['2027-03-02T03:30', '2027-03-03T03:00']) await tickAt(clock)
      expect([await countRuns(one, nightly), await countRuns(two, nightly)]).toEqual([1, 2])
    })

    test('refuse what is not there', async () => {
      await expect(schedules.pause('set/nightly:never')).rejects.toThrow(UnknownScheduleError)
      await expect(schedules.pause('set/never')).rejects.toThrow(UnknownTaskError)
      await expect(schedules.pause('set/nightly', { tenantId: 'nobody' })).rejects.toThrow(UnknownTenantError)
      await expect(schedules.resume('set/nightly:never')).rejects.toThrow(UnknownScheduleError)
      await expect(schedules.resume('set/nightly', { tenantId: 'nobody' })).rejects.toThrow(
        UnknownTenantError,
      )
    })
  })

  describe('a tick that could not be handed out, and is put off', () => {
    /** At 03:00 by nobody, at 03:00:10 comes the change, and at 03:00:40 it is tried again. */
    async function putOffAround(change: () => Promise<unknown>): Promise<void> {
      await tickAt('2027-03-01T02:59')
      await tickAt('2027-03-01T03:00', deploy([nightly, local, main, plain], broken(engine)).ticker)
      now('2027-03-01T03:00:10')
      await change()
      await tickAt('2027-03-01T03:00:40')
      await tickAt('2027-03-01T03:05')
    }

    const set = (settings: object) => (tenantId: string) => schedules.set(tenantId, 'set/nightly', settings)
    test.each<[string, (tenantId: string) => Promise<unknown>]>([
      ['another cron', set({ cron: '0 4 * * *' })],
      ['another time zone', set({ timezone: 'Asia/Tokyo' })],
      ['another payload', set({ payload: { limit: 2 } })],
      [
        'two changes',
        async (tenantId) => [
          await set({ cron: '0 4 * * *' })(tenantId),
          await set({ cron: '0 3 * * *', timezone: 'Asia/Tokyo' })(tenantId),
        ],
      ],
      ['a reset', (tenantId) => schedules.reset(tenantId, 'set/nightly')],
      ['a pause', (tenantId) => schedules.pause('set/nightly', { tenantId })],
      [
        'a pause and its end',
        async (tenantId) => [
          await schedules.pause('set/nightly', { tenantId }),
          await schedules.resume('set/nightly', { tenantId }),
        ],
      ],
      ['a pause for all', () => schedules.pause('set/nightly')],
      [
        'a pause for all and its end',
        async () => [await schedules.pause('set/nightly'), await schedules.resume('set/nightly')],
      ],
      ['a suspension', (tenantId) => changeTenantAt('2027-03-01T03:00:10', tenantId, 'status', 'suspended')],
    ])('is handed out as it was before: %s', async (_, change) => {
      const [mine, other] = [await addTenant(), await addTenant()]
      now('2027-03-01T00:00')
      await schedules.set(mine, 'set/nightly', { payload: { limit: 7 } })
      await putOffAround(() => change(mine))
      expect((await runsOf(mine)).map((run) => run.payload)).toEqual([{ tenantId: mine, limit: 7 }])
      expect((await runsOf(other)).map((run) => run.payload)).toEqual([{ tenantId: other }])
    })

    test('to whom has been suspended and resumed; not to whom was only resumed, or came', async () => {
      const [mine, suspended] = [await addTenant(), await addTenant()]
      await changeTenantAt('2027-03-01T02:00', suspended, 'status', 'suspended')
      await putOffAround(async () => {
        await changeTenantAt('2027-03-01T03:00:05', mine, 'status', 'suspended')
        await changeTenantAt('2027-03-01T03:00:10', mine, 'status', 'active')
        await changeTenantAt('2027-03-01T03:00:10', suspended, 'status', 'active')
      })
      expect([await countRuns(mine), await countRuns(suspended)]).toEqual([1, 0])
      await tickAt('2027-03-02T03:00')
      expect([await countRuns(mine, nightly), await countRuns(suspended, nightly)]).toEqual([2, 1])
    })

    test("by the tenant's time zone of then", async () => {
      const [mine, other] = [await addTenant('Asia/Tokyo'), await addTenant('Asia/Tokyo')]
      now('2027-02-28T00:00')
      await schedules.set(other, 'set/local:morning', { cron: '0 8 * * *' })
      await tickAt('2027-02-28T22:59')
      await tickAt('2027-02-28T23:00', deploy([nightly, local], broken(engine)).ticker)
      for (const tenantId of [mine, other]) {
        await changeTenantAt('2027-02-28T23:00:10', tenantId, 'timezone', 'Europe/Berlin')
      }
      await tickAt('2027-02-28T23:00:40')
      expect([await countRuns(mine, local), await countRuns(other, local)]).toEqual([1, 1])
    })

    test('of an extra schedule that is gone', async () => {
      const tenantId = await addTenant()
      now('2027-03-01T00:00')
      await schedules.set(tenantId, 'set/plain:daily', {
        extra: true,
        cron: '0 3 * * *',
        payload: { limit: 3 },
      })
      await putOffAround(() => schedules.reset(tenantId, 'set/plain:daily'))
      expect((await runsOf(tenantId, plain)).map((run) => run.payload)).toEqual([{ tenantId, limit: 3 }])
      await tickAt('2027-03-02T03:00')
      expect(await countRuns(tenantId, plain)).toBe(1)
    })

    test('and a clock that has gone back', async () => {
      const tenantId = await addTenant()
      await tickAt('2027-03-01T02:59')
      await tickAt('2027-03-01T03:10', deploy([nightly], broken(engine)).ticker)
      now('2027-03-01T02:30')
      await schedules.set(tenantId, 'set/nightly', { cron: '0 4 * * *' })
      await tickAt('2027-03-01T03:11')
      expect(await countRuns(tenantId, nightly)).toBe(1)
      await tickAt('2027-03-01T04:00')
      expect(await countRuns(tenantId, nightly)).toBe(2)
    })
  })

  describe('run', () => {
    test('now, for one tenant or for all, once for each invocation', async () => {
      const [one, two, suspended] = [await addTenant(), await addTenant(), await addTenant()]
      await changeTenant(suspended, 'status', 'suspended')
      await schedules.pause('set/nightly')
      const invocation = `of ${one}`
      const [runId] = await schedules.run('set/nightly', { tenantId: one, invocation })
      expect(await runsOf(one)).toMatchObject([{ id: runId, state: 'queued', tags: ['schedule:default'] }])
      const all = await schedules.run('set/nightly', { invocation })
      expect(all).toHaveLength(2)
      expect(all).toContain(runId)
      expect(await schedules.run('set/nightly', { tenantId: one })).not.toContain(runId)
      expect([await countRuns(one), await countRuns(two), await countRuns(suspended)]).toEqual([2, 1, 0])
    })

    test('a schedule that is changed, extra, or for one tenant', async () => {
      const [mine, other] = [await addTenant(), await addTenant()]
      now('2027-03-01T00:00')
      await schedules.set(mine, 'set/nightly', { payload: { limit: 9 } })
      await schedules.set(mine, 'set/plain:daily', { extra: true, cron: '0 9 * * *', payload: { limit: 8 } })
      await schedules.run('set/nightly', { tenantId: mine })
      await schedules.run('set/plain:daily')
      expect((await runsOf(mine)).map((run) => run.payload)).toEqual([
        { tenantId: mine, limit: 9 },
        { tenantId: mine, limit: 8 },
      ])
      expect(await countRuns(other)).toBe(0)
      expect(await schedules.run('set/main')).toEqual([])
      await expect(schedules.run('set/main', { tenantId: mine })).rejects.toThrow(InvalidScheduleError)
      await expect(schedules.run('set/plain:daily', { tenantId: other })).rejects.toThrow(
        UnknownScheduleError,
      )
      await expect(schedules.run('set/nightly', { tenantId: 'nobody' })).rejects.toThrow(UnknownTenantError)
      await changeTenant(other, 'status', 'onboarding')
      await expect(schedules.run('set/nightly', { tenantId: other })).rejects.toThrow(/not active yet/)
      await changeTenant(other, 'status', 'suspended')
      await expect(schedules.run('set/nightly', { tenantId: other })).rejects.toThrow(TenantSuspendedError)
    })
  })

  describe('list', () => {
    test('what tasks say, and what tenants have otherwise', async () => {
      const tenantId = await addTenant('Europe/Berlin')
      now('2027-03-27T12:00')
      await schedules.set(tenantId, 'set/local:morning', { cron: '30 2 * * *' })
      const listed = await schedules.list({ count: 2 })
      expect(listed.map(({ id, tenantId: whose }) => [id, whose])).toEqual([
        ['set/local:morning', null],
        ['set/local:morning', tenantId],
        ['set/main:default', 'set_main'],
        ['set/nightly:default', null],
      ])
      expect(listed[0]!.next).toEqual([
        { at: null, clock: '2027-03-28T08:00', offset: null },
        { at: null, clock: '2027-03-29T08:00', offset: null },
      ])
      expect(listed[1]!.next).toEqual([
        { at: new Date('2027-03-28T01:00Z'), clock: '2027-03-28T03:00', offset: '+02:00' },
        { at: new Date('2027-03-29T00:30Z'), clock: '2027-03-29T02:30', offset: '+02:00' },
      ])
    })

    test('a suspended tenant has no next times; a change of what no task declares any more is gone', async () => {
      const tenantId = await addTenant()
      now('2027-03-01T00:00')
      await schedules.set(tenantId, 'set/nightly', { cron: '0 4 * * *' })
      await changeTenant(tenantId, 'status', 'suspended')
      for (const { next } of await schedules.list({ tenantId })) expect(next).toEqual([])
      const without = deploy([defineTask({ id: 'set/nightly', payload, run: () => null })])
      expect(await without.schedules.list({ tenantId })).toEqual([])
    })

    test('a tenant whose time zone is none has no times by it, and has the others', async () => {
      const tenantId = await addTenant('Mars/Base')
      const listed = await schedules.list({ tenantId, count: 1 })
      expect(listed.map(({ id, next }) => [id, next.length])).toEqual([
        ['set/local:morning', 0],
        ['set/nightly:default', 1],
      ])
    })

    test('refuses a tenant that is none, and a count that is none', async () => {
      await expect(schedules.list({ tenantId: 'nobody' })).rejects.toThrow(UnknownTenantError)
      await expect(schedules.list({ count: 101 })).rejects.toThrow(InvalidScheduleError)
    })
  })
})
