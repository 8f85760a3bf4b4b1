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
        null,
      ]
      for (const filter of refused) {
        await expect(runs.list(filter as never)).rejects.toThrow(InvalidRunFilterError)
      }
    })
  })
}
