import { describe, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { WorkerStoppingError } from '../../../src/errors.ts'
import { aborted, doing, gate, kit, plain, stateOf, work } from './kit.ts'

/** Of an engine whose workers are processes of ours. */
export function workers(): void {
  describe('a worker', () => {
    test('a settled attempt is told to whoever started the worker', async () => {
      const tenantId = await kit.tenant()
      const told = gate<unknown>()
      const { id } = await plain.trigger({ tenantId, ...doing(() => null) })
      // Others may have left runs behind.
      await work({ onSettled: (event) => event.runId === id && told.resolve(event) })
      expect(await told.promise).toEqual({
        runId: id,
        taskId: plain.id,
        tenantId,
        attempt: 1,
        outcome: 'completed',
        durationMs: expect.any(Number),
      })
    })

    test('that stops takes nothing new and lets what runs finish', async () => {
      const tenantId = await kit.tenant()
      const [started, finish] = [gate(), gate()]
      const running = await plain.trigger({
        tenantId,
        ...doing(async () => {
          started.resolve()
          await finish.promise
          return 'finished'
        }),
      })
      const worker = await work({ concurrency: 1 })
      await started.promise
      const waiting = await plain.trigger({ tenantId, ...doing(() => null) })
      const stopped = worker.stop({ timeoutMs: 10_000 })
      finish.resolve()
      await stopped
      expect(await runs.get(running.id)).toMatchObject({ state: 'completed', output: 'finished' })
      expect(await stateOf(waiting)).toBe('queued')
    })

    test('that stops hands back what is left at its deadline; no attempt is spent', async () => {
      const tenantId = await kit.tenant()
      const started = gate()
      const reasons: unknown[] = []
      const { id } = await plain.trigger({
        tenantId,
        ...doing(async ({ signal, attempt }) => {
          if (reasons.length > 0) return `attempt ${attempt}`
          started.resolve()
          reasons.push(await aborted(signal))
          throw signal.reason
        }),
      })
      const worker = await work()
      await started.promise
      await worker.stop({ timeoutMs: 20 })
      expect(reasons).toEqual([expect.any(WorkerStoppingError)])
      expect(await runs.get(id)).toMatchObject({ state: 'queued', attempt: 0, attempts: [] })

      await kit.drain()
      expect(await runs.get(id)).toMatchObject({ state: 'completed', output: 'attempt 1', attempt: 1 })
    })

    test('has the deadline it was started with, unless it is told another', async () => {
      const tenantId = await kit.tenant()
      const [started, stopped] = [gate(), gate<unknown>()]
      const { id } = await plain.trigger({
        tenantId,
        ...doing(async ({ signal }) => {
          started.resolve()
          stopped.resolve(await aborted(signal))
          throw signal.reason
        }),
      })
      const { engine, clients, holds } = await kit.platform.ready()
      const { dispatcher, logger } = kit.platform
      const worker = await engine.work({
        tasks: [plain],
        concurrency: 1,
        stopTimeoutMs: 20,
        dispatcher,
        services: { clients, holds },
        logger,
      })
      await started.promise
      await worker.stop()
      expect(await stopped.promise).toBeInstanceOf(WorkerStoppingError)
      await runs.cancel(id)
    }, 10_000)

    test('may be stopped twice, and with nothing to do', async () => {
      const worker = await work()
      await Promise.all([worker.stop(), worker.stop()])
    })

    test('goes on, and stops, whatever the listener of its app throws', async () => {
      const tenantId = await kit.tenant()
      const heard: string[] = []
      const worker = await work({
        onSettled: ({ runId }) => {
          heard.push(runId)
          throw new Error('from onSettled')
        },
      })
      const one = await plain.trigger({ tenantId, ...doing(() => 1) })
      await runs.wait(one.id)
      const two = await plain.trigger({ tenantId, ...doing(() => 2) })
      await runs.wait(two.id)
      await worker.stop({ timeoutMs: 10_000 })
      expect(heard).toEqual([one.id, two.id])
    })
  })
}
