import { expect, test } from 'vitest'
import { runs, sql, withTenant } from '../../src/default-platform.ts'
import { doing, gate, kit, plain, work } from './conformance/kit.ts'
import { engineConformance } from './conformance.ts'

engineConformance('pg-boss')

test("a tenant that announces the cancel of another tenant's run cancels nothing", async () => {
  const [victim, rogue] = [await kit.tenant(), await kit.tenant()]
  const [started, finish] = [gate(), gate()]
  const { id } = await plain.trigger({
    tenantId: victim,
    ...doing(async ({ signal }) => {
      started.resolve()
      await finish.promise
      return signal.aborted
    }),
  })
  await work()
  await started.promise
  await withTenant(rogue, () => sql`SELECT pg_notify('cgk_cancel', ${id})`)
  // A run that is triggered and done later has surely given the notification its time.
  const later = await plain.trigger({ tenantId: victim, ...doing(() => null) })
  await runs.wait(later.id)
  finish.resolve()
  expect(await runs.wait(id)).toMatchObject({ state: 'completed', output: false })
})
