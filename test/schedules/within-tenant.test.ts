/** Schedules as the code of a tenant has them: its own, and nobody else's. */
import { expect, test } from 'vitest'
import { InsideTenantError, TenantMismatchError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { database, kit, now, runsOf, schedules, useSchedules } from './kit.ts'

const nightly = defineTask({
  id: 'within/nightly',
  payload: tenantPayload({}),
  schedules: [{ cron: '0 3 * * *' }],
  run: () => null,
})

useSchedules('pg-boss', [nightly])

test('inside the context of a tenant its own are read and changed, also within a transaction', async () => {
  const [mine, other] = [await kit.tenant(), await kit.tenant()]
  now('2027-03-01T02:30')
  await database.withTenant(mine, async () => {
    expect(await schedules.list()).toMatchObject([{ id: 'within/nightly:default', tenantId: mine }])
    await schedules.set(mine, nightly.id, { cron: '0 4 * * *' })
    await database.transaction(() => schedules.pause(nightly.id, { tenantId: mine }))
    expect(await schedules.list({ tenantId: mine })).toMatchObject([{ cron: '0 4 * * *', next: [] }])
    await schedules.resume(nightly.id, { tenantId: mine })
    expect(await schedules.run(nightly.id, { tenantId: mine })).toHaveLength(1)
    expect(await schedules.reset(mine, nightly.id)).toBe(true)
  })
  expect(await runsOf(mine)).toHaveLength(1)
  expect(await schedules.list({ tenantId: other })).toMatchObject([{ cron: '0 3 * * *' }])
})

test('those of another tenant, and those of all, are refused', async () => {
  const [mine, other] = [await kit.tenant(), await kit.tenant()]
  now('2027-03-01T02:30')
  await database.withTenant(mine, async () => {
    for (const call of [
      () => schedules.list({ tenantId: other }),
      () => schedules.set(other, nightly.id, { cron: '0 4 * * *' }),
      () => schedules.reset(other, nightly.id),
      () => schedules.pause(nightly.id, { tenantId: other }),
      () => schedules.resume(nightly.id, { tenantId: other }),
      () => schedules.run(nightly.id, { tenantId: other }),
    ]) {
      await expect(call()).rejects.toThrow(TenantMismatchError)
    }
    for (const call of [
      () => schedules.pause(nightly.id),
      () => schedules.resume(nightly.id),
      () => schedules.run(nightly.id),
    ]) {
      await expect(call()).rejects.toThrow(InsideTenantError)
    }
  })
  expect(await runsOf(other)).toEqual([])
})
