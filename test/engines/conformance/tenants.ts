import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import {
  deleteTenant,
  resumeTenant,
  runs,
  sql,
  suspendTenant,
  transaction,
  withTenant,
} from '../../../src/default-platform.ts'
import {
  InvalidPayloadError,
  TenantHasOpenRunsError,
  TenantSuspendedError,
  UnknownRunError,
  UnknownTenantError,
} from '../../../src/errors.ts'
import { doing, kit, limited, plain, stateOf, work } from './kit.ts'

export function tenants(): void {
  describe('tenants', () => {
    test('a suspended tenant takes nothing new; what was queued is held and goes on when it is resumed', async () => {
      const tenantId = await kit.tenant()
      const run = await plain.trigger({ tenantId, ...doing(({ attempt }) => attempt) })
      await suspendTenant(tenantId)
      await expect(plain.trigger({ tenantId, act: 0 })).rejects.toThrow(TenantSuspendedError)

      await kit.drain()
      expect(await runs.get(run.id)).toMatchObject({
        state: 'held',
        attempt: 0,
        error: { code: 'TENANT_SUSPENDED' },
      })
      await kit.advance('30d')
      await kit.drain()
      expect(await stateOf(run)).toBe('held')

      await resumeTenant(tenantId)
      // On Trigger.dev what is held looks for itself, a little later.
      const released = kit.platform.config.engine !== 'trigger.dev'
      if (released) expect(await runs.get(run.id)).toMatchObject({ state: 'queued', error: null })
      await kit.drain()
      expect(await runs.get(run.id)).toMatchObject({
        state: 'completed',
        output: 1,
        attempt: 1,
        attempts: [],
      })
    })

    test('suspending one tenant leaves the others alone', async () => {
      const [one, two] = [await kit.tenant(), await kit.tenant()]
      const act = doing(() => null)
      const [held, free] = [
        await plain.trigger({ tenantId: one, ...act }),
        await plain.trigger({ tenantId: two, ...act }),
      ]
      await suspendTenant(one)
      await kit.drain()
      expect([await stateOf(held), await stateOf(free)]).toEqual(['held', 'completed'])
    })

    test('a held run can be cancelled, and waiting for its retry it is held too', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => {
          throw new Error('once')
        }),
      })
      await kit.drain()
      await suspendTenant(tenantId)
      await kit.advance('1h')
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({ state: 'held', attempt: 1 })
      expect(await runs.cancel(id)).toBe(true)
      await resumeTenant(tenantId)
      await kit.drain()
      expect(await stateOf({ id })).toBe('cancelled')
    })

    test('an unknown or malformed tenant is refused before anything is queued', async () => {
      await expect(plain.trigger({ tenantId: 'nobody', act: 0 })).rejects.toThrow(UnknownTenantError)
      await expect(plain.trigger({ tenantId: 'No Slug', act: 0 })).rejects.toThrow(InvalidPayloadError)
    })

    test('a tenant with open runs is deleted only by force, and takes its runs along', async () => {
      const [tenantId, neighbour] = [await kit.tenant(), await kit.tenant()]
      const finished = await plain.trigger({ tenantId, ...doing(() => null) })
      await kit.drain()
      const open = await plain.trigger({ tenantId, ...doing(() => null) }, { idempotencyKey: 'k' })
      const kept = await plain.trigger({ tenantId: neighbour, ...doing(() => null) })
      await expect(deleteTenant(tenantId)).rejects.toThrow(TenantHasOpenRunsError)
      expect(await stateOf(open)).toBe('queued')

      await deleteTenant(tenantId, { force: true })
      for (const { id } of [finished, open]) await expect(runs.get(id)).rejects.toThrow(UnknownRunError)
      await kit.drain()
      expect(await stateOf(kept)).toBe('completed')
    })

    test('a worker that was started inside a context takes none of it along', async () => {
      const tenantId = await kit.tenant()
      const add = doing(({ sql: inRun }) => inRun`INSERT INTO customers (email) VALUES ('kept@x.test')`)
      const during = await plain.trigger({ tenantId, ...add })
      const rolledBack = withTenant(tenantId, () =>
        transaction(async () => {
          await work()
          await runs.wait(during.id)
          throw new Error('roll back')
        }),
      )
      await expect(rolledBack).rejects.toThrow('roll back')
      const after = await plain.trigger({ tenantId, ...add })
      expect(await runs.wait(after.id)).toMatchObject({ state: 'completed', error: null })
      const { rows } = await withTenant(tenantId, () => sql`SELECT FROM customers`)
      expect(rows).toHaveLength(2)
    })

    test('the limit per tenant is exact over three workers, and each tenant has its own', async () => {
      const now = new Map<string, number>()
      const most = new Map<string, number>()
      const act = doing(async ({ tenantId }) => {
        const running = (now.get(tenantId) ?? 0) + 1
        now.set(tenantId, running)
        most.set(tenantId, Math.max(most.get(tenantId) ?? 0, running))
        await sleep(10)
        now.set(tenantId, now.get(tenantId)! - 1)
      })
      const slugs = [await kit.tenant(), await kit.tenant()]
      const payloads = slugs.flatMap((tenantId) => Array.from({ length: 15 }, () => ({ tenantId, ...act })))
      const handles = await limited.batchTrigger(payloads.map((payload) => ({ payload })))
      for (let index = 0; index < 3; index += 1) await work()
      await Promise.all(handles.map(({ id }) => runs.wait(id)))
      expect([...most.values()]).toEqual([2, 2])
    })
  })
}
