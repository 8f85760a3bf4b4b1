/** Reading runs where something is wrong with one of them, with Trigger.dev, or with whose run it is. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createTenant, deleteTenant, runs, withTenant } from '../../../src/default-platform.ts'
import { TriggerRefusedError, UnknownRunError, WaitTimeoutError } from '../../../src/errors.ts'
import type { ProviderRequest } from '../../fixtures/providers/server.ts'
import { cloud, newTenant, note, onTriggerDev, stored } from './kit.ts'

onTriggerDev()

let tenantId: string
beforeEach(async () => {
  tenantId = await newTenant()
})
afterEach(() => cloud.calm())

const many = 1_000
const isRead = ({ method, path }: ProviderRequest) => method === 'GET' && path.startsWith('/api/v3/runs/')
const isReadOf = (run: { id: string }) => (request: ProviderRequest) =>
  isRead(request) && request.path.endsWith(stored(run.id).id)

/** As the dashboard makes one. */
async function madeByHand(payload: Record<string, unknown>, options: Record<string, unknown> = {}) {
  const made = { taskId: note.id, payload: JSON.stringify(payload), options, batchId: null }
  return (await cloud.store.add(made)).run
}

describe('a run that cannot be read', () => {
  test('keeps no other from being waited for, whether it is answered wrongly or not at all', async () => {
    const [garbled, silent, fine] = [
      await note.trigger({ tenantId }),
      await note.trigger({ tenantId }),
      await note.trigger({ tenantId }),
    ]
    cloud.answerNext({ body: '<html>' }, { times: many, matches: isReadOf(garbled) })
    cloud.answerNext({ instead: 'silence' }, { times: many, matches: isReadOf(silent) })
    const waiting = [garbled, silent].map(({ id }) =>
      runs.wait(id, { timeout: '6s' }).catch((error: unknown) => error),
    )
    const ended = runs.wait(fine.id)
    cloud.store.end(stored(fine.id), 'CANCELED')
    // Before anybody gives up, and leaves the others alone.
    expect(await Promise.race([ended, ...waiting])).toMatchObject({ id: fine.id, state: 'cancelled' })
    // Who waited for it learns why nothing was heard.
    const [first, second] = await Promise.all(waiting)
    expect(first).toBeInstanceOf(WaitTimeoutError)
    expect(first).toHaveProperty('cause.code', 'TRIGGER_UNAVAILABLE')
    expect(second).toBeInstanceOf(WaitTimeoutError)
  })

  test('is listed as the list tells it', async () => {
    const fine = await note.trigger({ tenantId, text: 'a' }, { tags: ['red'] })
    const lost = await note.trigger({ tenantId, text: 'b' }, { tags: ['red'] })
    stored(lost.id).output = { data: 'an-object-that-is-gone', type: 'application/store' }
    stored(lost.id).startedAt = cloud.store.now
    cloud.store.end(stored(lost.id), 'COMPLETED')
    const page = await runs.list({ tenantId, tag: 'red' })
    expect(page.runs).toMatchObject([
      {
        id: lost.id,
        taskId: note.id,
        tenantId,
        state: 'completed',
        tags: ['red'],
        payload: null,
        output: null,
        finishedAt: expect.any(Date),
        error: { code: 'TRIGGER_UNAVAILABLE', message: expect.stringContaining('object store') },
      },
      { id: fine.id, payload: { text: 'a' }, error: null },
    ])
    expect((await runs.list({ tenantId, states: ['completed'] })).runs).toHaveLength(1)
  })
})

describe('what Trigger.dev refuses for good', () => {
  const refused = { status: 401, body: { error: 'Invalid API key' } }

  test('ends a wait at once', async () => {
    const { id } = await note.trigger({ tenantId })
    cloud.answerNext(refused, { times: many, matches: ({ method }) => method === 'GET' })
    await expect(runs.wait(id, { timeout: '10m' })).rejects.toThrow(TriggerRefusedError)
  })

  test('is no trouble of single runs of a list', async () => {
    await note.trigger({ tenantId })
    cloud.answerNext(refused, { times: many, matches: isRead })
    await expect(runs.list({ tenantId })).rejects.toThrow(TriggerRefusedError)
  })
})

test('what passes is waited out', async () => {
  const { id } = await note.trigger({ tenantId })
  cloud.answerNext({ status: 503, headers: { 'x-should-retry': 'false' } }, { times: 3, matches: isRead })
  cloud.store.end(stored(id), 'CANCELED')
  expect((await runs.wait(id, { timeout: '20s' })).state).toBe('cancelled')
})

describe('whose run it is', () => {
  test('says its payload, not its tag', async () => {
    const other = await newTenant()
    const edited = await madeByHand(
      { tenantId: other, text: 'theirs' },
      { tags: [`tenant:${tenantId}`, `run:${randomUUID()}`] },
    )
    expect((await runs.list({ tenantId })).runs).toEqual([])
    expect(await runs.get(edited.id)).toMatchObject({ tenantId: other })
    await withTenant(tenantId, () => expect(runs.get(edited.id)).rejects.toThrow(UnknownRunError))
  })

  test('says its tag where the payload says nothing, and where it was triggered with another name for the tenant', async () => {
    const bare = await madeByHand({ text: 'a' }, { tags: [`tenant:${tenantId}`] })
    const facts = { organization: null, tenantAs: 'Its Other Name', priority: 0, maxAttempts: 1 }
    const renamed = await madeByHand(
      { tenantId: 'Its Other Name' },
      { tags: [`tenant:${tenantId}`], metadata: JSON.stringify({ run: facts }) },
    )
    for (const { id } of [bare, renamed]) expect(await runs.get(id)).toMatchObject({ tenantId })
  })

  test('the next tenant of the same name sees nothing of the one before, however soon it comes', async () => {
    const key = { idempotencyKey: 'k' }
    const old = await note.trigger({ tenantId, text: 'a secret of the old' }, key)
    cloud.store.end(stored(old.id), 'COMPLETED')
    const byHand = await madeByHand({ tenantId }, { tags: [`tenant:${tenantId}`] })
    cloud.store.end(byHand, 'COMPLETED')
    await deleteTenant(tenantId, { force: true })
    await createTenant(tenantId)
    expect((await runs.list({ tenantId })).runs).toEqual([])
    for (const id of [old.id, byHand.id]) await expect(runs.get(id)).rejects.toThrow(UnknownRunError)
    // The key is the new tenant's to use.
    const next = await note.trigger({ tenantId }, key)
    expect(next.id).not.toBe(old.id)
    expect((await runs.list({ tenantId })).runs.map(({ id }) => id)).toEqual([next.id])
  })

  test('a clock that is behind that of Postgres hides no run that the platform triggered', async () => {
    const { id } = await note.trigger({ tenantId })
    Object.assign(stored(id), { createdAt: cloud.store.now - 3_600_000 })
    expect((await runs.list({ tenantId })).runs.map((run) => run.id)).toEqual([id])
  })
})

describe('a run of the dashboard', () => {
  test('with facts that are nonsense is a run all the same, and spoils no list', async () => {
    const { id } = await note.trigger({ tenantId })
    const facts = { id: 'x', organization: 'y', priority: 0, maxAttempts: 1 }
    const options = { tags: [`tenant:${tenantId}`], metadata: JSON.stringify({ run: facts }) }
    const made = await madeByHand({ tenantId }, options)
    const page = await runs.list({ tenantId })
    expect(page.runs.map((run) => run.id)).toEqual([(await runs.get(made.id)).id, id])
  })

  test('that never began is replayed with the attempts of its task, and as many of its tags as there is room for', async () => {
    const tags = Array.from({ length: 10 }, (_, index) => `t${index}`)
    const made = await madeByHand({ tenantId }, { tags })
    cloud.store.end(made, 'EXPIRED')
    expect((await runs.get(made.id)).maxAttempts).toBe(0)
    const { id } = await runs.replay(made.id)
    expect(await runs.get(id)).toMatchObject({ maxAttempts: 4, tags: tags.slice(0, 8) })
    expect(stored(id).tags).toHaveLength(10)
    expect(stored(id).options.maxAttempts).toBe(4)
  })
})
