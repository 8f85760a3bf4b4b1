import { describe, expect, test } from 'vitest'
import { runs, suspendTenant } from '../../../src/default-platform.ts'
import {
  AbortTaskError,
  InvalidPayloadError,
  InvalidTriggerOptionsError,
  RunStillOpenError,
  UnknownRunError,
} from '../../../src/errors.ts'
import { snooze } from '../../../src/task/snooze.ts'
import { doing, echo, kit, olderEcho, plain, stateOf } from './kit.ts'

export function replaying(): void {
  describe('replaying', () => {
    test('a new run of the same payload, linked to the old one', async () => {
      const tenantId = await kit.tenant()
      let broken = true
      const act = doing(() => {
        if (broken) throw new AbortTaskError('broken')
        return 'mended'
      })
      const options = { tags: ['red'], priority: 3, maxAttempts: 2, idempotencyKey: 'k', ttl: '1h' } as const
      const old = await plain.trigger({ tenantId, ...act }, options)
      await kit.drain()
      broken = false
      const { id } = await runs.replay(old.id)
      expect(id).not.toBe(old.id)
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({
        state: 'completed',
        output: 'mended',
        replayOf: old.id,
        payload: { tenantId, ...act },
        tags: ['red'],
        priority: 3,
        maxAttempts: 2,
        idempotencyKey: null,
      })
      expect(await runs.get(old.id)).toMatchObject({ state: 'failed', replayOf: null })
      // Neither has the key, so it is free.
      expect((await plain.trigger({ tenantId, ...act }, options)).id).not.toBe(id)
    })

    test('a payload that is no good is edited, whole, and checked by the task as it is now', async () => {
      const tenantId = await kit.tenant()
      const old = await olderEcho.trigger({ tenantId, text: 5 })
      await kit.drain()
      expect(await stateOf(old)).toBe('failed')
      await expect(runs.replay(old.id)).rejects.toThrow(InvalidPayloadError)
      await expect(runs.replay(old.id, { payload: { tenantId, text: 5 } })).rejects.toThrow(
        InvalidPayloadError,
      )
      const { id } = await runs.replay(old.id, { payload: { tenantId, text: 'five' } })
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({
        state: 'completed',
        output: { tenantId, text: '<five>', count: 1 },
        replayOf: old.id,
      })
      expect((await runs.list({ tenantId })).runs).toHaveLength(2)
    })

    test('null is a payload as well, and no task takes it', async () => {
      const tenantId = await kit.tenant()
      const old = await echo.trigger({ tenantId, text: 'a' })
      await kit.drain()
      await expect(runs.replay(old.id, { payload: null as never })).rejects.toThrow(InvalidPayloadError)
      expect((await runs.list({ tenantId })).runs).toHaveLength(1)
    })

    test('that of a suspended tenant waits', async () => {
      const tenantId = await kit.tenant()
      const old = await plain.trigger({ tenantId, ...doing(() => null) })
      await kit.drain()
      await suspendTenant(tenantId)
      const replay = await runs.replay(old.id)
      await kit.drain()
      expect(await stateOf(replay)).toBe('held')
    })

    test('an open run, one that is not there, and options nobody reads are refused', async () => {
      const tenantId = await kit.tenant()
      const open = await plain.trigger({ tenantId, ...doing(() => null) })
      await expect(runs.replay(open.id)).rejects.toThrow(RunStillOpenError)
      await expect(runs.replay('00000000-0000-4000-8000-000000000000')).rejects.toThrow(UnknownRunError)
      for (const options of [null, 'now', { delay: '1m' }]) {
        await expect(runs.replay(open.id, options as never)).rejects.toThrow(InvalidTriggerOptionsError)
      }
    })
  })

  describe('rescheduling', () => {
    test('a run that waits for its time gets another, later or sooner; its ttl moves along', async () => {
      const tenantId = await kit.tenant()
      const run = await plain.trigger({ tenantId, ...doing(() => null) }, { delay: '1h', ttl: '10m' })
      expect(await runs.reschedule(run.id, { delay: '3h' })).toBe(true)
      await kit.advance('2h')
      expect(await stateOf(run)).toBe('scheduled')
      expect(await runs.reschedule(run.id, { runAt: new Date(Date.now() + 1_800_000) })).toBe(true)
      await kit.advance('35m')
      expect(await stateOf(run)).toBe('queued')
      await kit.drain()
      expect(await stateOf(run)).toBe('completed')
    })

    test.each([{ delay: 0 }, { runAt: new Date(0) }])('now, or a time that has passed: %o', async (start) => {
      const tenantId = await kit.tenant()
      const run = await plain.trigger({ tenantId, ...doing(() => null) }, { delay: '1h' })
      expect(await runs.reschedule(run.id, start)).toBe(true)
      await expect
        .poll(
          async () => {
            await kit.drain()
            return await stateOf(run)
          },
          { timeout: 10_000 },
        )
        .toBe('completed')
    })

    test('one that is queued, has been put off, or has ended does not wait so', async () => {
      const tenantId = await kit.tenant()
      const queued = await plain.trigger({ tenantId, ...doing(() => null) })
      expect(await runs.reschedule(queued.id, { delay: '1h' })).toBe(false)
      await kit.drain()
      expect(await runs.reschedule(queued.id, { delay: '1h' })).toBe(false)
      const putOff = await plain.trigger({ tenantId, ...doing(() => snooze('10m')) })
      await kit.drain()
      expect(await stateOf(putOff)).toBe('scheduled')
      expect(await runs.reschedule(putOff.id, { delay: '1h' })).toBe(false)
      const gone = runs.reschedule('00000000-0000-4000-8000-000000000000', { delay: '1h' })
      await expect(gone).rejects.toThrow(UnknownRunError)
    })

    test('without a time, with two, or with one that cannot be read it is refused', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({ tenantId, ...doing(() => null) }, { delay: '1h' })
      for (const start of [{}, null, { delay: 'soon' }, { delay: 1, runAt: new Date() }, { priority: 1 }]) {
        await expect(runs.reschedule(id, start as never)).rejects.toThrow(InvalidTriggerOptionsError)
      }
    })
  })
}
