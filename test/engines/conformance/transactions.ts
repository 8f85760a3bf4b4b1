import { describe, expect, test } from 'vitest'
import { runs, sql, transaction, withTenant } from '../../../src/default-platform.ts'
import { TenantMismatchError, UnknownRunError } from '../../../src/errors.ts'
import { doing, kit, plain, stateOf } from './kit.ts'

export function transactions(): void {
  describe('triggering inside transaction()', () => {
    const addCustomer = (email: string) => sql`INSERT INTO customers (email) VALUES (${email})`
    const customers = async (tenantId: string) => {
      const { rows } = await withTenant(
        tenantId,
        () => sql<{ email: string }>`SELECT email FROM customers ORDER BY 1`,
      )
      return rows.map(({ email }) => email)
    }

    test('the run exists when it commits, and not before', async () => {
      const tenantId = await kit.tenant()
      const run = await withTenant(tenantId, () =>
        transaction(async () => {
          await addCustomer('a@x.test')
          const handle = await plain.trigger({ tenantId, ...doing(() => 'ran') })
          await expect(runs.get(handle.id)).rejects.toThrow(UnknownRunError)
          await kit.drain()
          await addCustomer('b@x.test') // Still the tenant's role and path.
          return handle
        }),
      )
      expect(await stateOf(run)).toBe('queued')
      await kit.drain()
      expect(await stateOf(run)).toBe('completed')
      expect(await customers(tenantId)).toEqual(['a@x.test', 'b@x.test'])
    })

    test('it goes with a rollback, single or in a batch', async () => {
      const tenantId = await kit.tenant()
      const ids: string[] = []
      const rolledBack = withTenant(tenantId, () =>
        transaction(async () => {
          await addCustomer('a@x.test')
          ids.push((await plain.trigger({ tenantId, ...doing(() => null) })).id)
          const batch = await plain.batchTrigger([{ payload: { tenantId, ...doing(() => null) } }])
          ids.push(batch[0]!.id)
          throw new Error('roll back')
        }),
      )
      await expect(rolledBack).rejects.toThrow('roll back')
      for (const id of ids) await expect(runs.get(id)).rejects.toThrow(UnknownRunError)
      expect((await runs.list({ tenantId })).runs).toEqual([])
      expect(await customers(tenantId)).toEqual([])
    })

    test('a swallowed SQL error rolls back the run as well', async () => {
      const tenantId = await kit.tenant()
      const rolledBack = withTenant(tenantId, () =>
        transaction(async () => {
          await plain.trigger({ tenantId, ...doing(() => null) })
          await sql`SELECT 1 / 0`.catch(() => {})
        }),
      )
      await expect(rolledBack).rejects.toMatchObject({ code: 'TRANSACTION_ROLLED_BACK' })
      expect((await runs.list({ tenantId })).runs).toEqual([])
    })

    test('a savepoint that is rolled back takes only its own run', async () => {
      const tenantId = await kit.tenant()
      const trigger = async (note: string) =>
        (await plain.trigger({ tenantId, note, ...doing(() => note) })).id
      await withTenant(tenantId, () =>
        transaction(async () => {
          await trigger('outer')
          await transaction(() => trigger('kept'))
          const undone = transaction(async () => {
            await trigger('undone')
            await transaction(() => trigger('undone with it'))
            throw new Error('undo')
          })
          await expect(undone).rejects.toThrow('undo')
          await trigger('after')
        }),
      )
      await kit.drain()
      const { runs: all } = await runs.list({ tenantId })
      expect(all.map(({ output }) => output).sort()).toEqual(['after', 'kept', 'outer'])
    })

    test('in a run, a task triggered in its transaction is queued with it', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(({ transaction: inRun, attempt }) =>
          inRun(async () => {
            await plain.trigger({ tenantId, note: 'child', ...doing(() => null) })
            if (attempt === 1) throw new Error('first attempt rolls back')
          }),
        ),
      })
      await kit.drain()
      expect((await runs.list({ tenantId })).runs).toHaveLength(1)
      await kit.advance('1h')
      await kit.drain()
      const { runs: all } = await runs.list({ tenantId })
      expect(all).toHaveLength(2)
      expect(all.find((run) => run.id !== id)).toMatchObject({ state: 'completed', parentRunId: id })
    })

    test('a run for another tenant is refused inside a tenant', async () => {
      const [one, two] = [await kit.tenant(), await kit.tenant()]
      await withTenant(one, async () => {
        await expect(plain.trigger({ tenantId: two, act: 0 })).rejects.toThrow(TenantMismatchError)
      })
      expect((await runs.list({ tenantId: two })).runs).toEqual([])
    })
  })
}
