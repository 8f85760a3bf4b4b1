import { describe, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { AbortTaskError, InvalidTriggerOptionsError, WaitTimeoutError } from '../../../src/errors.ts'
import { doing, gate, kit, other, plain, stateOf, work } from './kit.ts'

export function children(): void {
  describe('children', () => {
    test('a triggered child knows its parent', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => other.trigger({ tenantId, ...doing(() => null) })),
      })
      await kit.drain()
      const parent = await runs.get(id)
      expect(await runs.get((parent.output as { id: string }).id)).toMatchObject({
        state: 'completed',
        parentRunId: id,
      })
    })

    test('a parent waits for its child and gets its output', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => other.triggerAndWait({ tenantId, ...doing(() => ({ answer: 42 })) })),
      })
      await kit.drain()
      expect((await runs.get(id)).output).toMatchObject({ ok: true, output: { answer: 42 } })
    })

    test('a failing child is an answer, not an exception', async () => {
      const tenantId = await kit.tenant()
      const child = doing(() => {
        throw new AbortTaskError('no luck')
      })
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => other.triggerAndWait({ tenantId, ...child })),
      })
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({
        state: 'completed',
        output: { ok: false, state: 'failed', error: { code: 'TASK_ABORTED', message: 'no luck' } },
      })
    })

    test('waiting holds no slot: three generations with one', async () => {
      const tenantId = await kit.tenant()
      const grandchild = doing(() => 'deep')
      const child = doing(() => other.triggerAndWait({ tenantId, ...grandchild }))
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => plain.triggerAndWait({ tenantId, ...child })),
      })
      await kit.drain({ concurrency: 1 })
      expect((await runs.get(id)).output).toMatchObject({ output: { output: 'deep' } })
    })

    test('a cancel of a parent that waits leaves its child alone', async () => {
      const tenantId = await kit.tenant()
      const [childStarted, finish] = [gate<string>(), gate()]
      const child = doing(({ runId }) => {
        childStarted.resolve(runId)
        return finish.promise
      })
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => other.triggerAndWait({ tenantId, ...child })),
      })
      await work()
      const childId = await childStarted.promise
      expect(await runs.cancel(id)).toBe(true)
      expect((await runs.wait(id)).state).toBe('cancelled')
      finish.resolve()
      expect((await runs.wait(childId)).state).toBe('completed')
    })

    test('outside a run, one waits as well', async () => {
      const tenantId = await kit.tenant()
      await work()
      expect(await plain.triggerAndWait({ tenantId, ...doing(() => 1) })).toMatchObject({
        ok: true,
        output: 1,
      })
    })

    test('who gives up waiting leaves the run alone', async () => {
      const tenantId = await kit.tenant()
      const finish = gate()
      const { id } = await plain.trigger({ tenantId, ...doing(() => finish.promise) })
      await work()
      await expect(runs.wait(id, { timeout: 30 })).rejects.toThrow(WaitTimeoutError)
      for (const timeout of [Number.NaN, -1, 'soon' as never]) {
        await expect(runs.wait(id, { timeout })).rejects.toThrow(InvalidTriggerOptionsError)
      }
      const stop = new AbortController()
      const waiting = runs.wait(id, { signal: stop.signal })
      stop.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
      expect(await stateOf({ id })).not.toBe('cancelled')
      finish.resolve()
      expect((await runs.wait(id)).state).toBe('completed')
    })
  })
}
