import { describe, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { RunCancelledError, UnknownRunError } from '../../../src/errors.ts'
import { aborted, doing, gate, kit, plain, stateOf, work } from './kit.ts'

export function cancelling(): void {
  describe('cancelling', () => {
    test('a queued and a scheduled run never run', async () => {
      const tenantId = await kit.tenant()
      const ran: string[] = []
      const act = doing(({ runId }) => void ran.push(runId))
      const queued = await plain.trigger({ tenantId, ...act })
      const scheduled = await plain.trigger({ tenantId, ...act }, { delay: '1h' })
      expect(await runs.cancel(queued.id)).toBe(true)
      expect(await runs.cancel(scheduled.id)).toBe(true)
      await kit.advance('2h')
      await kit.drain()
      expect(ran).toEqual([])
      expect(await runs.get(queued.id)).toMatchObject({ state: 'cancelled', attempt: 0, error: null })
      expect(await stateOf(scheduled)).toBe('cancelled')
    })

    test('a running run gets its signal aborted, and what it still answers changes nothing', async () => {
      const tenantId = await kit.tenant()
      const started = gate()
      const stopped = gate<unknown>()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(async ({ signal }) => {
          started.resolve()
          stopped.resolve(await aborted(signal))
          return 'too late'
        }),
      })
      await work()
      await started.promise
      expect(await stateOf({ id })).toBe('running')
      expect(await runs.cancel(id)).toBe(true)
      expect(await stopped.promise).toBeInstanceOf(RunCancelledError)
      expect(await runs.wait(id)).toMatchObject({ state: 'cancelled', output: null })
      await kit.drain()
      expect(await stateOf({ id })).toBe('cancelled')
    })

    test('a cancel stops the statement that is running', async () => {
      const tenantId = await kit.tenant()
      const started = gate()
      const stopped = gate<unknown>()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(async ({ sql }) => {
          started.resolve()
          await sql`SELECT pg_sleep(20)`.catch(stopped.resolve)
        }),
      })
      await work()
      await started.promise
      await runs.cancel(id)
      expect(await stopped.promise).toBeInstanceOf(RunCancelledError)
    })

    test('a run that has ended cannot be cancelled; one that does not exist is an error', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({ tenantId, ...doing(() => 'done') })
      await kit.drain()
      expect(await runs.cancel(id)).toBe(false)
      expect(await runs.get(id)).toMatchObject({ state: 'completed', output: 'done' })
      await expect(runs.cancel('00000000-0000-4000-8000-000000000000')).rejects.toThrow(UnknownRunError)
      await expect(runs.cancel('not an id')).rejects.toThrow(UnknownRunError)
      await expect(runs.get('not an id')).rejects.toThrow(UnknownRunError)
    })
  })
}
