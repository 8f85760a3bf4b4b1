import { describe, expect, test } from 'vitest'
import { runs, withTenant } from '../../../src/default-platform.ts'
import { InvalidPayloadError, TenantMismatchError, UnknownRunError } from '../../../src/errors.ts'
import { doing, echo, kit, plain, stateOf } from './kit.ts'

export function visibility(): void {
  describe('inside the context of a tenant', () => {
    test('the runs of other tenants do not exist', async () => {
      const [tenantId, other] = [await kit.tenant(), await kit.tenant()]
      const ended = await plain.trigger({ tenantId: other, ...doing(() => 'theirs') })
      await kit.drain()
      const open = await plain.trigger({ tenantId: other, ...doing(() => null) }, { delay: '1h' })
      await withTenant(tenantId, async () => {
        for (const { id } of [ended, open]) {
          await expect(runs.get(id)).rejects.toThrow(UnknownRunError)
          await expect(runs.wait(id, { timeout: '5s' })).rejects.toThrow(UnknownRunError)
          await expect(runs.cancel(id)).rejects.toThrow(UnknownRunError)
          await expect(runs.reschedule(id, { delay: '2h' })).rejects.toThrow(UnknownRunError)
          await expect(runs.replay(id)).rejects.toThrow(UnknownRunError)
        }
      })
      expect([await stateOf(ended), await stateOf(open)]).toEqual(['completed', 'scheduled'])
      expect((await runs.list({ tenantId: other })).runs).toHaveLength(2)
    })

    test('its own are listed, and no others by any filter', async () => {
      const [tenantId, other] = [await kit.tenant(), await kit.tenant()]
      const options = { tags: ['seen'] }
      const own = await plain.trigger({ tenantId, ...doing(() => null) }, options)
      await plain.trigger({ tenantId: other, ...doing(() => null) }, options)
      await withTenant(tenantId, async () => {
        for (const filter of [{}, { tenantId }, { taskId: plain.id }, { tag: 'seen' }]) {
          expect((await runs.list(filter)).runs.map(({ id }) => id)).toEqual([own.id])
        }
        await expect(runs.list({ tenantId: other })).rejects.toThrow(TenantMismatchError)
      })
    })

    test('its own are steered as everywhere', async () => {
      const tenantId = await kit.tenant()
      const run = await plain.trigger({ tenantId, ...doing(() => null) }, { delay: '1h' })
      await withTenant(tenantId, async () => {
        expect(await runs.reschedule(run.id, { delay: '2h' })).toBe(true)
        expect((await runs.get(run.id)).state).toBe('scheduled')
        expect(await runs.cancel(run.id)).toBe(true)
        expect(await runs.cancel(run.id)).toBe(false)
        expect((await runs.wait(run.id)).state).toBe('cancelled')
        const replay = await runs.replay(run.id)
        expect((await runs.get(replay.id)).replayOf).toBe(run.id)
      })
    })

    test('and so it is for a run of the tenant', async () => {
      const [tenantId, other] = [await kit.tenant(), await kit.tenant()]
      const theirs = await plain.trigger({ tenantId: other, ...doing(() => 'theirs') }, { delay: '1h' })
      const looking = doing(async ({ runId }) => {
        const errors = await Promise.all(
          [runs.get(theirs.id), runs.cancel(theirs.id), runs.list({ tenantId: other })].map((asked) =>
            asked.then(
              () => null,
              ({ code }) => code,
            ),
          ),
        )
        return { errors, listed: (await runs.list()).runs.map(({ id }) => id), runId }
      })
      const { id } = await plain.trigger({ tenantId, ...looking })
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({
        state: 'completed',
        output: { errors: ['RUN_UNKNOWN', 'RUN_UNKNOWN', 'TENANT_MISMATCH'], listed: [id] },
      })
      expect(await stateOf(theirs)).toBe('scheduled')
    })
  })

  test('outside of every tenant, a replay stays with the tenant of its run all the same', async () => {
    const [tenantId, other] = [await kit.tenant(), await kit.tenant()]
    const old = await echo.trigger({ tenantId, text: 'a' })
    await kit.drain()
    await expect(runs.replay(old.id, { payload: { tenantId: other, text: 'a' } })).rejects.toThrow(
      InvalidPayloadError,
    )
    expect((await runs.list({ tenantId: other })).runs).toEqual([])
  })
}
