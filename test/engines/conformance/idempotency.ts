import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { runs, transaction, withTenant } from '../../../src/default-platform.ts'
import { AbortTaskError } from '../../../src/errors.ts'
import type { RunRequest } from '../../../src/task/run.ts'
import { doing, gate, kit, other, plain, work } from './kit.ts'

export function idempotency(): void {
  test('a request that comes again with its id is the run it was, also after that has failed', async () => {
    const tenantId = await kit.tenant()
    const { engine } = await kit.platform.ready()
    const request = requestOf(tenantId)
    const enqueue = () => engine.enqueue([request], null)
    expect(await enqueue()).toEqual([{ id: request.id }])
    expect(await enqueue()).toEqual([{ id: request.id }])
    await kit.drain()
    expect(await enqueue()).toEqual([{ id: request.id }])
    await kit.drain()
    const { runs: all } = await runs.list({ tenantId })
    expect(all).toMatchObject([{ id: request.id, state: 'failed', attempt: 1 }])
  })

  describe('an idempotency key', () => {
    const key = { idempotencyKey: 'order 1' }

    test('answers the same run while it is queued, running and after it completed', async () => {
      const [started, finish] = [gate(), gate()]
      const act = doing(async () => {
        started.resolve()
        await finish.promise
      })
      const payload = { tenantId: await kit.tenant(), ...act }
      const first = await plain.trigger(payload, key)
      expect(await plain.trigger(payload, key)).toEqual(first)
      await work()
      await started.promise
      expect(await plain.trigger(payload, key)).toEqual(first)
      finish.resolve()
      await runs.wait(first.id)
      expect(await plain.trigger(payload, key)).toEqual(first)

      const { runs: all } = await runs.list({ tenantId: payload.tenantId })
      expect(all).toHaveLength(1)
      expect(all[0]).toMatchObject({ idempotencyKey: 'order 1' })
    })

    test('starts a new run after a failure and after a cancel', async () => {
      const tenantId = await kit.tenant()
      const failing = doing(() => {
        throw new AbortTaskError('no')
      })
      const failed = await plain.trigger({ tenantId, ...failing }, key)
      await kit.drain()
      const second = await plain.trigger({ tenantId, ...failing }, key)
      expect(second.id).not.toBe(failed.id)
      await runs.cancel(second.id)
      const third = await plain.trigger({ tenantId, ...failing }, key)
      expect([failed.id, second.id]).not.toContain(third.id)
    })

    test('starts a new run after the one before has expired', async () => {
      const payload = { tenantId: await kit.tenant(), ...doing(() => null) }
      const lapsed = await plain.trigger(payload, { ...key, ttl: '1m' })
      await kit.advance('2m')
      const next = await plain.trigger(payload, key)
      expect(next.id).not.toBe(lapsed.id)
    })

    test('starts a new run once its own time is over', async () => {
      const payload = { tenantId: await kit.tenant(), ...doing(() => null) }
      const first = await plain.trigger(payload, { ...key, idempotencyKeyTtl: '1h' })
      await kit.drain()
      await kit.advance('59m')
      expect(await plain.trigger(payload, key)).toEqual(first)
      await kit.advance('2m')
      const next = await plain.trigger(payload, key)
      expect(next.id).not.toBe(first.id)
      expect(await plain.trigger(payload, key)).toEqual(next)
    })

    test('is kept for seven days when nothing else is said', async () => {
      const payload = { tenantId: await kit.tenant(), ...doing(() => null) }
      const first = await plain.trigger(payload, key)
      await kit.drain()
      await kit.advance('6d')
      expect(await plain.trigger(payload, key)).toEqual(first)
      await kit.advance('2d')
      expect(await plain.trigger(payload, key)).not.toEqual(first)
    })

    test('of concurrent callers, one starts the run and all get it', async () => {
      const payload = { tenantId: await kit.tenant(), ...doing(() => null) }
      const handles = await Promise.all(Array.from({ length: 20 }, () => plain.trigger(payload, key)))
      expect(new Set(handles.map(({ id }) => id)).size).toBe(1)
      expect((await runs.list({ tenantId: payload.tenantId })).runs).toHaveLength(1)
    })

    test('twice in one batch is one run', async () => {
      const payload = { tenantId: await kit.tenant(), ...doing(() => null) }
      const options = key
      const handles = await plain.batchTrigger([{ payload, options }, { payload }, { payload, options }])
      expect(handles[2]).toEqual(handles[0])
      expect(handles[1]).not.toEqual(handles[0])
      expect((await runs.list({ tenantId: payload.tenantId })).runs).toHaveLength(2)
    })

    test('belongs to its task and its tenant', async () => {
      const act = doing(() => null)
      const [one, two] = [await kit.tenant(), await kit.tenant()]
      const handles = [
        await plain.trigger({ tenantId: one, ...act }, key),
        await plain.trigger({ tenantId: two, ...act }, key),
        await other.trigger({ tenantId: one, ...act }, key),
      ]
      expect(new Set(handles.map(({ id }) => id)).size).toBe(3)
    })

    test('taken in a transaction that rolls back is free again', async () => {
      const payload = { tenantId: await kit.tenant(), ...doing(() => null) }
      const rolledBack = withTenant(payload.tenantId, () =>
        transaction(async () => {
          await plain.trigger(payload, key)
          throw new Error('roll back')
        }),
      )
      await expect(rolledBack).rejects.toThrow('roll back')
      const { id } = await plain.trigger(payload, key)
      expect((await runs.list({ tenantId: payload.tenantId })).runs.map((run) => run.id)).toEqual([id])
    })

    test('twice in one transaction is one run, found by both answers', async () => {
      const payload = { tenantId: await kit.tenant(), ...doing(() => 'once') }
      const handles = await withTenant(payload.tenantId, () =>
        transaction(async () => [await plain.trigger(payload, key), await plain.trigger(payload, key)]),
      )
      await kit.drain()
      for (const { id } of handles) expect((await runs.wait(id)).output).toBe('once')
      expect((await runs.list({ tenantId: payload.tenantId })).runs).toHaveLength(1)
    })
  })
}

/** Of a run that fails at once. */
function requestOf(tenantId: string): RunRequest {
  const act = doing(() => {
    throw new AbortTaskError('no')
  })
  return {
    id: randomUUID(),
    taskId: plain.id,
    tenantId,
    input: { tenantId, ...act },
    parentRunId: null,
    triggeredBy: { kind: 'app', ref: null },
    replayOf: null,
    repeatable: true,
    idempotency: null,
    delayMs: 0,
    runAt: null,
    priority: 0,
    ttlMs: null,
    tags: [],
    maxAttempts: 1,
  }
}
