/** What code inside a tenant's context may ask of the platform, and what only code outside may. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { audit, bulkActions, runs, withTenant } from '../../src/default-platform.ts'
import { ContextEndedError, InsideTenantError, TenantMismatchError } from '../../src/errors.ts'
import {
  refuseInsideTenant,
  refuseOtherTenants,
  surroundingTenant,
  withinTenant,
} from '../../src/tenants/surrounding.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

let kit: TestPlatform
let one: string
let two: string
const filter: { tenantId?: string; limit: number } = { limit: 1 }
beforeAll(async () => {
  kit = await createTestPlatform({ tasks: [] })
})
afterAll(() => kit.close())
beforeEach(async () => {
  ;[one, two] = [await kit.tenant(), await kit.tenant()]
})

test('outside of every tenant, everything', () => {
  expect(surroundingTenant('it')).toBeNull()
  expect(withinTenant(filter, null, 'Runs')).toEqual({ limit: 1 })
  refuseOtherTenants(undefined, 'it', 'Runs')
  refuseOtherTenants(one, 'it', 'Runs')
  refuseInsideTenant('it')
})

test('inside of one, what is its own', async () => {
  await withTenant(one, () => {
    expect(surroundingTenant('it')).toBe(one)
    expect(withinTenant(filter, one, 'Runs')).toEqual({ limit: 1, tenantId: one })
    refuseOtherTenants(one, 'it', 'Runs')
    expect(() => withinTenant({ tenantId: two }, one, 'Runs')).toThrow(TenantMismatchError)
    expect(() => refuseOtherTenants(two, 'it', 'Runs')).toThrow(TenantMismatchError)
    expect(() => refuseOtherTenants(undefined, 'it', 'Runs')).toThrow(InsideTenantError)
    expect(() => refuseInsideTenant('it')).toThrow(InsideTenantError)
  })
})

test('the audit log is not for the code of tenants', async () => {
  const record = {
    actor: { kind: 'app', id: null, name: 'app' },
    ...{ action: 'test', tenantId: one, subject: null, reason: null, details: {} },
  } as const
  await withTenant(one, async () => {
    await expect(audit.list()).rejects.toThrow(InsideTenantError)
    await expect(audit.list({ tenantIds: [one] })).rejects.toThrow(InsideTenantError)
    await expect(audit.record(record)).rejects.toThrow(InsideTenantError)
  })
  await audit.record(record)
  expect((await audit.list({ tenantIds: [one] })).entries).toMatchObject([{ action: 'test' }])
})

test('what outlives a context does not find itself outside', async () => {
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const late = await withTenant(one, () => [over.then(() => surroundingTenant('it'))])
  resolve()
  await expect(late[0]).rejects.toThrow(ContextEndedError)
})

test('runs of all tenants are not to be had by outliving a context', async () => {
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const late = await withTenant(one, () => ({
    asked: over.then(async () => {
      for (const ask of [() => runs.list(), () => runs.counts(), () => bulkActions.list()]) {
        await expect(ask()).rejects.toThrow(ContextEndedError)
      }
    }),
  }))
  resolve()
  await late.asked
})
