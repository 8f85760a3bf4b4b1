import { describe, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { RateLimitedError } from '../../../src/errors.ts'
import { snooze } from '../../../src/task/snooze.ts'
import { doing, kit, plain, stateOf } from './kit.ts'

export function timing(): void {
  describe('time', () => {
    test('a delayed run waits, then runs', async () => {
      const tenantId = await kit.tenant()
      const run = await plain.trigger({ tenantId, ...doing(() => null) }, { delay: '1h' })
      await kit.drain()
      expect(await stateOf(run)).toBe('scheduled')
      await kit.advance('59m')
      await kit.drain()
      expect(await stateOf(run)).toBe('scheduled')
      await kit.advance('2m')
      expect(await stateOf(run)).toBe('queued')
      await kit.drain()
      expect(await stateOf(run)).toBe('completed')
    })

    test('runAt is a time; one that has passed is now', async () => {
      const tenantId = await kit.tenant()
      const at = (ms: number) => ({ runAt: new Date(Date.now() + ms) })
      const later = await plain.trigger({ tenantId, ...doing(() => null) }, at(3_600_000))
      const past = await plain.trigger({ tenantId, ...doing(() => null) }, at(-86_400_000))
      await kit.drain()
      expect([await stateOf(later), await stateOf(past)]).toEqual(['scheduled', 'completed'])
      await kit.advance('62m')
      await kit.drain()
      expect(await stateOf(later)).toBe('completed')
    })

    test('a run that could not start in its ttl expires', async () => {
      const tenantId = await kit.tenant()
      const ran: string[] = []
      const act = doing(({ runId }) => void ran.push(runId))
      const now = await plain.trigger({ tenantId, ...act }, { ttl: '10m' })
      const delayed = await plain.trigger({ tenantId, ...act }, { delay: '15m', ttl: '10m' })
      await kit.advance('20m')
      expect([await stateOf(now), await stateOf(delayed)]).toEqual(['expired', 'queued'])
      expect(await kit.drain()).toMatchObject({ expired: 1, completed: 1 })
      expect(ran).toEqual([delayed.id])
      expect(await runs.get(now.id)).toMatchObject({
        state: 'expired',
        attempt: 0,
        finishedAt: expect.any(Date),
      })
    })

    test('a run that was given no ttl waits for as long as it has to', async () => {
      const tenantId = await kit.tenant()
      const run = await plain.trigger({ tenantId, ...doing(() => null) })
      await kit.advance('3d')
      expect(await stateOf(run)).toBe('queued')
      await kit.drain()
      expect(await stateOf(run)).toBe('completed')
    })

    test('a run that has started once does not expire by its ttl', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger(
        {
          tenantId,
          ...doing(({ attempt }) => {
            if (attempt === 1) throw new Error('again')
          }),
        },
        { ttl: '1m' },
      )
      await kit.drain()
      await kit.advance('1h')
      await kit.drain()
      expect(await stateOf({ id })).toBe('completed')
    })

    test('snooze brings the run back later and spends no attempt', async () => {
      const tenantId = await kit.tenant()
      const attempts: number[] = []
      const { id } = await plain.trigger(
        {
          tenantId,
          ...doing(({ attempt }) => {
            attempts.push(attempt)
            if (attempts.length < 4) snooze('10m')
            return 'done'
          }),
        },
        { maxAttempts: 1, ttl: '1m' },
      )
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({ state: 'scheduled', attempt: 0, error: { code: 'SNOOZED' } })
      for (let round = 0; round < 3; round += 1) {
        await kit.advance('11m')
        await kit.drain()
      }
      expect(attempts).toEqual([1, 1, 1, 1])
      expect(await runs.get(id)).toMatchObject({
        state: 'completed',
        attempt: 1,
        output: 'done',
        attempts: [],
      })
    })

    test('a snooze on a later attempt does not give earlier ones back', async () => {
      const tenantId = await kit.tenant()
      const attempts: number[] = []
      const { id } = await plain.trigger({
        tenantId,
        ...doing(({ attempt }) => {
          attempts.push(attempt)
          if (attempts.length === 2) snooze('10m')
          throw new Error('no')
        }),
      })
      for (let round = 0; round < 5; round += 1) {
        await kit.drain()
        await kit.advance('1h')
      }
      expect(attempts).toEqual([1, 2, 2, 3])
      expect(await runs.get(id)).toMatchObject({ state: 'failed', attempt: 3 })
    })

    test('RateLimitedError waits as long as the provider said and spends no attempt', async () => {
      const tenantId = await kit.tenant()
      let calls = 0
      const { id } = await plain.trigger({
        tenantId,
        ...doing(({ attempt }) => {
          calls += 1
          if (calls === 1) throw new RateLimitedError('slow down', 120_000)
          return attempt
        }),
      })
      await kit.drain()
      await kit.advance('1m')
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({ state: 'scheduled', error: { code: 'RATE_LIMITED' } })
      await kit.advance('61s')
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({ state: 'completed', output: 1, attempt: 1, attempts: [] })
    })

    test.each([Number.NaN, -5, '7' as never])(
      'RateLimitedError with %o for a delay still comes back',
      async (delay) => {
        const tenantId = await kit.tenant()
        let calls = 0
        const { id } = await plain.trigger({
          tenantId,
          ...doing(() => {
            calls += 1
            if (calls === 1) throw new RateLimitedError('slow down', delay)
            return calls
          }),
        })
        await kit.drain()
        await kit.advance('1m')
        await kit.drain()
        expect(await runs.get(id)).toMatchObject({ state: 'completed', output: 2, attempt: 1, attempts: [] })
      },
    )

    test('nothing is postponed for longer than a year', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => {
          throw new RateLimitedError('slow down', Number.POSITIVE_INFINITY)
        }),
      })
      await kit.drain()
      const { state, runAt, createdAt } = await runs.get(id)
      expect(state).toBe('scheduled')
      expect(runAt.getTime() - createdAt.getTime()).toBeLessThan(366 * 86_400_000)
    })
  })
}
