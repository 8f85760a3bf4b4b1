import { describe, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { AbortTaskError, InvalidRunFilterError } from '../../../src/errors.ts'
import { doing, gate, kit, other, plain, work } from './kit.ts'

export function listing(): void {
  describe('listing', () => {
    test('by tenant, task, tag and state', async () => {
      const [tenantId, neighbour] = [await kit.tenant(), await kit.tenant()]
      const fine = doing(() => null)
      const bad = doing(() => {
        throw new AbortTaskError('no')
      })
      const ok = await plain.trigger({ tenantId, ...fine }, { tags: ['red', 'big', 'red'] })
      const failed = await other.trigger({ tenantId, ...bad }, { tags: ['red'] })
      await plain.trigger({ tenantId: neighbour, ...fine }, { tags: ['red'] })
      await kit.drain()
      const later = await plain.trigger({ tenantId, ...fine }, { delay: '1h' })

      const ids = async (filter: Parameters<typeof runs.list>[0]) =>
        (await runs.list({ tenantId, ...filter })).runs.map(({ id }) => id)
      expect(await ids({})).toEqual([later.id, failed.id, ok.id])
      expect(await ids({ taskId: plain.id })).toEqual([later.id, ok.id])
      expect(await ids({ tag: 'red' })).toEqual([failed.id, ok.id])
      expect(await ids({ tag: 'none' })).toEqual([])
      expect(await ids({ states: ['failed', 'scheduled'] })).toEqual([later.id, failed.id])
      expect(
        await ids({ states: ['expired', 'held', 'queued', 'retrying', 'running', 'cancelled'] }),
      ).toEqual([])
      expect(await ids({ taskId: 'no/such' })).toEqual([])
      expect((await runs.get(ok.id)).tags).toEqual(['red', 'big'])
    })

    test('what is due of tasks, for the figures; not what is for later', async () => {
      const tenantId = await kit.tenant()
      const { engine } = await kit.platform.ready()
      const depths = async () => (await engine.backlog([plain.id, 'no/such'])).map(({ depth }) => depth)
      await kit.drain()
      const before = await depths()
      await plain.trigger({ tenantId, ...doing(() => null) })
      await plain.trigger({ tenantId, ...doing(() => null) }, { delay: '1h' })
      // Trigger.dev shows its own.
      expect(await depths()).toEqual(engine.name === 'trigger.dev' ? [] : [before[0]! + 1, 0])
      await kit.drain()
    })

    test('tenants that have an open run of a task with a tag', async () => {
      const tenants = [
        await kit.tenant(),
        await kit.tenant(),
        await kit.tenant(),
        await kit.tenant(),
      ] as const
      const [waiting, running, ended, otherwise] = tenants
      const { engine } = await kit.platform.ready()
      const open = async () =>
        (await engine.tenantsWithOpenRun(plain.id, 'nightly', tenants)).sort((a, b) => (a < b ? -1 : 1))
      const [started, finish] = [gate(), gate()]
      const nightly = { tags: ['nightly'] }
      const slow = doing(async () => {
        started.resolve()
        await finish.promise
      })
      await plain.trigger({ tenantId: ended, ...doing(() => null) }, nightly)
      await kit.drain()
      await plain.trigger({ tenantId: running, ...slow }, nightly)
      await work()
      await started.promise
      await plain.trigger({ tenantId: waiting, ...doing(() => null) }, { ...nightly, delay: '1h' })
      await plain.trigger({ tenantId: otherwise, ...doing(() => null) }, { delay: '1h' })
      await other.trigger({ tenantId: otherwise, ...doing(() => null) }, { ...nightly, delay: '1h' })
      expect(await open()).toEqual([waiting, running].sort())
      finish.resolve()
    })

    test('by time, failure, text in the error, beginning of the id, and what triggered it', async () => {
      const tenantId = await kit.tenant()
      const child = await other.trigger({ tenantId, ...doing(() => null) }, { delay: '1d' })
      const parent = await plain.trigger({
        tenantId,
        ...doing(async () => (await other.trigger({ tenantId, ...doing(() => null) })).id),
      })
      const broken = await plain.trigger({
        tenantId,
        ...doing(() => {
          throw new AbortTaskError('The 100% wool_coat of order 4711 is gone')
        }),
      })
      await kit.drain()
      const ids = async (filter: Parameters<typeof runs.list>[0]) =>
        (await runs.list({ tenantId, ...filter })).runs.map(({ id }) => id)
      const { fingerprint, createdAt } = await runs.get(broken.id)
      const { output: grandchild } = await runs.get(parent.id)

      expect(fingerprint).toMatch(/^[0-9a-f]{20}$/)
      expect(await ids({ fingerprint: fingerprint! })).toEqual([broken.id])
      expect(await ids({ fingerprint: 'f'.repeat(20) })).toEqual([])
      for (const errorText of ['order 4711', 'WOOL', '100%', 'l_c']) {
        expect([errorText, await ids({ errorText })]).toEqual([errorText, [broken.id]])
      }
      for (const errorText of ['order 4712', 'w%l', 'l_coat of_'])
        expect(await ids({ errorText })).toEqual([])
      for (const length of [4, 8, 9, 13, 30, 36]) {
        expect(await ids({ idPrefix: broken.id.slice(0, length) })).toEqual([broken.id])
      }
      expect(await ids({ idPrefix: broken.id.slice(0, 8).toUpperCase() })).toEqual([broken.id])
      expect(await ids({ triggeredBy: { kind: 'run' } })).toEqual([grandchild])
      expect(await ids({ triggeredBy: { kind: 'run', ref: parent.id } })).toEqual([grandchild])
      expect(await ids({ triggeredBy: { kind: 'run', ref: child.id } })).toEqual([])
      expect(await ids({ triggeredBy: { kind: 'app' }, states: ['completed'] })).toEqual([parent.id])
      expect(await ids({ replayOf: parent.id })).toEqual([])
      const after = new Date(createdAt.getTime() + 60_000)
      expect(await ids({ from: after })).toEqual([])
      expect(await ids({ to: createdAt, states: ['failed'] })).toEqual([])
      expect(await ids({ from: createdAt, to: after, states: ['failed'] })).toEqual([broken.id])
    })

    test('counted by task, tenant and state', async () => {
      const tenantId = await kit.tenant()
      await plain.batchTrigger(
        Array.from({ length: 3 }, () => ({ payload: { tenantId, ...doing(() => null) } })),
      )
      await other.trigger({
        tenantId,
        ...doing(() => {
          throw new AbortTaskError('no')
        }),
      })
      await kit.drain()
      await other.trigger({ tenantId, ...doing(() => null) }, { delay: '1h' })
      const count = async (filter: Parameters<typeof runs.counts>[0]) =>
        (await runs.counts({ tenantId, ...filter }))
          .map(({ taskId, state, runs: number }) => `${taskId} ${state} ${number}`)
          .sort()
      const [failed, scheduled] = [`${other.id} failed 1`, `${other.id} scheduled 1`]
      expect(await count({})).toEqual([failed, scheduled, `${plain.id} completed 3`])
      expect(await count({ taskId: plain.id })).toEqual([`${plain.id} completed 3`])
      expect(await count({ to: new Date(0) })).toEqual([scheduled])
      for (const filter of [{ tag: 'red' }, { from: 'yesterday' }, { tenantId: 5 }, null]) {
        await expect(runs.counts(filter as never)).rejects.toThrow(InvalidRunFilterError)
      }
    })

    test('page by page: every run once, newest first', async () => {
      const tenantId = await kit.tenant()
      const first = await plain.trigger({ tenantId, ...doing(() => null) })
      const batch = Array.from({ length: 8 }, () => ({ payload: { tenantId, ...doing(() => null) } }))
      const handles = [first, ...(await plain.batchTrigger(batch))]

      const seen: string[] = []
      const sizes: number[] = []
      let after: string | undefined
      for (;;) {
        const page = await runs.list({ tenantId, limit: 4, ...(after !== undefined && { after }) })
        seen.push(...page.runs.map(({ id }) => id))
        sizes.push(page.runs.length)
        // What comes meanwhile is newer, and shifts no page.
        await plain.trigger({ tenantId, ...doing(() => null) })
        if (page.next === null) break
        after = page.next
      }
      expect(sizes).toEqual([4, 4, 1])
      expect(seen.at(-1)).toBe(first.id)
      expect([...seen].sort()).toEqual(handles.map(({ id }) => id).sort())
    })

    test('a filter that cannot be used is refused', async () => {
      const refused = [
        { limit: 0 },
        { limit: 1001 },
        { states: [] },
        { states: ['done'] },
        { tag: 'a\0' },
        { after: 'anything' },
        { tenantId: 5 },
        { taskId: null },
        { states: 'failed' },
        { states: null },
        { tenant: 'acme' },
        { from: '2026-01-01' },
        { to: new Date('never') },
        { idPrefix: 'abc' },
        { idPrefix: 'abcdefgh-' },
        { triggeredBy: { kind: 'nobody' } },
        { triggeredBy: 'app' },
        { triggeredBy: { kind: 'run', ref: 7 } },
        { errorText: 'a\0' },
        { replayOf: 1 },
        null,
      ]
      for (const filter of refused) {
        await expect(runs.list(filter as never)).rejects.toThrow(InvalidRunFilterError)
      }
    })
  })
}
