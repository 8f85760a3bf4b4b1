import { describe, expect, test } from 'vitest'
import { runs, tasks } from '../../../src/default-platform.ts'
import { InvalidPayloadError, UnknownTaskError } from '../../../src/errors.ts'
import type { TaskId } from '../../../src/task/registry.ts'
import { doing, echo, kit, other, plain, stateOf, work } from './kit.ts'

export function running(): void {
  describe('running', () => {
    test('a run is queued, runs in its tenant, and its output is kept', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(async ({ sql, ...context }) => {
          const { rows } = await sql<{ schema: string }>`SELECT current_schema() AS schema`
          const { runId, attempt, maxAttempts } = context
          return { schema: rows[0]!.schema, tenantId: context.tenantId, runId, attempt, maxAttempts }
        }),
      })
      expect(await runs.get(id)).toMatchObject({ state: 'queued', attempt: 0, startedAt: null, output: null })

      expect((await kit.drain()).completed).toBe(1)

      const run = await runs.get(id)
      expect(run).toMatchObject({
        taskId: 'conformance/plain',
        tenantId,
        state: 'completed',
        attempt: 1,
        output: { schema: `tenant_${tenantId}`, tenantId, runId: id, attempt: 1, maxAttempts: 3 },
        error: null,
        parentRunId: null,
        attempts: [],
      })
      expect(run.startedAt).toBeInstanceOf(Date)
      expect(run.finishedAt!.getTime()).toBeGreaterThanOrEqual(run.startedAt!.getTime())
    })

    test('the queue holds what the caller gave; run sees it parsed, once', async () => {
      const tenantId = await kit.tenant()
      const { id } = await echo.trigger({ tenantId, text: 'a' })
      await kit.drain()
      const run = await runs.get(id)
      expect(run.payload).toEqual({ tenantId, text: 'a' })
      expect(run.output).toEqual({ tenantId, text: '<a>', count: 1 })
    })

    test('a task is triggered by its id', async () => {
      const tenantId = await kit.tenant()
      const { id } = await tasks.trigger('conformance/echo' as TaskId, { tenantId, text: 'a' } as never)
      await kit.drain()
      expect(await stateOf({ id })).toBe('completed')
      await expect(tasks.trigger('conformance/none' as TaskId, { tenantId } as never)).rejects.toThrow(
        UnknownTaskError,
      )
    })

    test('a batch is queued whole, in order, over tasks of any tenant', async () => {
      const [one, two] = [await kit.tenant(), await kit.tenant()]
      const handles = await plain.batchTrigger(
        [one, two, one].map((tenantId, index) => ({ payload: { tenantId, ...doing(() => index) } })),
      )
      await kit.drain()
      const found = await Promise.all(handles.map(({ id }) => runs.get(id)))
      expect(found.map(({ output }) => output)).toEqual([0, 1, 2])
      expect(found.map(({ tenantId }) => tenantId)).toEqual([one, two, one])
    })

    test('a batch with one bad payload queues nothing', async () => {
      const tenantId = await kit.tenant()
      const batch = plain.batchTrigger([
        { payload: { tenantId, act: 0 } },
        { payload: { tenantId, act: 'none' as never } },
      ])
      await expect(batch).rejects.toThrow(InvalidPayloadError)
      expect((await runs.list({ tenantId })).runs).toEqual([])
    })

    test('an empty batch is nothing', async () => {
      expect(await plain.batchTrigger([])).toEqual([])
    })

    test('a worker finds runs that come while it works', async () => {
      const tenantId = await kit.tenant()
      await work()
      const first = await plain.trigger({ tenantId, ...doing(() => 'first') })
      expect((await runs.wait(first.id)).output).toBe('first')
      const second = await plain.trigger({ tenantId, ...doing(() => 'second') })
      expect((await runs.wait(second.id)).output).toBe('second')
    })

    test('a worker runs only the tasks it was given', async () => {
      const tenantId = await kit.tenant()
      const mine = await plain.trigger({ tenantId, ...doing(() => null) })
      const theirs = await other.trigger({ tenantId, ...doing(() => null) })
      await kit.drain({ only: [plain] })
      expect(await stateOf(mine)).toBe('completed')
      expect(await stateOf(theirs)).toBe('queued')
      await kit.drain({ only: ['conformance/o*'] })
      expect(await stateOf(theirs)).toBe('completed')
    })

    test('higher priority goes first, then the order of arrival', async () => {
      const tenantId = await kit.tenant()
      const order: string[] = []
      for (const [name, priority] of [
        ['a', 0],
        ['b', 5],
        ['c', -1],
        ['d', 5],
      ] as const) {
        await plain.trigger({ tenantId, ...doing(() => void order.push(name)) }, { priority })
      }
      await kit.drain({ concurrency: 1 })
      expect(order).toEqual(['b', 'd', 'a', 'c'])
    })

    test('no more runs at once than the worker has slots', async () => {
      const tenantId = await kit.tenant()
      let now = 0
      let most = 0
      const act = doing(async () => {
        now += 1
        most = Math.max(most, now)
        await new Promise((resolve) => setTimeout(resolve, 5))
        now -= 1
      })
      await plain.batchTrigger(Array.from({ length: 20 }, () => ({ payload: { tenantId, ...act } })))
      await kit.drain({ concurrency: 4 })
      expect(most).toBe(4)
    })
  })
}
