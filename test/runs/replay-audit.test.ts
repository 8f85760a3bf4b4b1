/** A replay of one run by the library: the audit log says who and why, exactly when the new run exists. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { audit, runs, transaction, withTenant } from '../../src/default-platform.ts'
import { InvalidTriggerOptionsError, UnknownRunError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

const noted = defineTask({ id: 'replay/noted', payload: tenantPayload({}), run: () => null })

let kit: TestPlatform
beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [noted] })
})
afterAll(() => kit.close())

async function ended(tenantId: string): Promise<string> {
  const { id } = await noted.trigger({ tenantId })
  await kit.drain()
  return id
}

const entriesOf = async (tenantId: string) => (await audit.list({ tenantIds: [tenantId] })).entries

test('says who and why, and of which run', async () => {
  const tenantId = await kit.tenant()
  const old = await ended(tenantId)
  const by = { kind: 'user', id: 'u1', name: 'ops@x.test' } as const
  const { id } = await runs.replay(old, { by, reason: 'The provider is back', payload: { tenantId } })
  expect(await entriesOf(tenantId)).toMatchObject([
    {
      actor: by,
      action: 'run.replay',
      subject: id,
      reason: 'The provider is back',
      details: { replayOf: old, edited: true },
    },
  ])
  expect((await runs.get(id)).replayOf).toBe(old)
})

test('inside a tenant it is there when the transaction commits, and not when it does not', async () => {
  const tenantId = await kit.tenant()
  const old = await ended(tenantId)
  await withTenant(tenantId, async () => {
    await transaction(() => runs.replay(old))
    const undone = transaction(async () => {
      await runs.replay(old)
      throw new Error('undone')
    })
    await expect(undone).rejects.toThrow('undone')
  })
  const [entry, ...others] = await entriesOf(tenantId)
  expect(others).toEqual([])
  expect(entry).toMatchObject({ actor: { kind: 'app' }, reason: null, details: { edited: false } })
  expect((await runs.list({ tenantId, replayOf: old })).runs.map(({ id }) => id)).toEqual([entry!.subject])
})

test('what is refused is in no log', async () => {
  const tenantId = await kit.tenant()
  const old = await ended(tenantId)
  await expect(runs.replay(old, { why: 'x' } as never)).rejects.toThrow(InvalidTriggerOptionsError)
  await expect(runs.replay('00000000-0000-4000-8000-000000000000')).rejects.toThrow(UnknownRunError)
  expect(await entriesOf(tenantId)).toEqual([])
})
