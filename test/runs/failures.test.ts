/** Failure groups on a real queue: how they come to be, who sees what of them, and how they end and come back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { failures, runs, withTenant } from '../../src/default-platform.ts'
import {
  AbortTaskError,
  InvalidFailureMarkError,
  InvalidRunFilterError,
  TenantMismatchError,
  UnknownFailureGroupError,
} from '../../src/errors.ts'
import { addUpFailures } from '../../src/runs/failure-counts.ts'
import type { FailureGroup } from '../../src/runs/failures.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

const pay = defineTask({
  id: 'failures/pay',
  payload: tenantPayload({ says: z.string() }),
  run({ says }) {
    throw Object.assign(new AbortTaskError(says), { code: 'E_CARD' })
  },
})

let kit: TestPlatform
let query: (text: string, values?: unknown[]) => Promise<unknown[]>
let one: string
let two: string

beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [pay] })
  const { database } = await kit.platform.ready()
  query = async (text, values = []) => (await database.query(text, values)).rows
})
afterAll(() => kit.close())
beforeEach(async () => {
  ;[one, two] = [await kit.tenant(), await kit.tenant()]
})

async function fail(tenantId: string, says: string): Promise<string> {
  const { id } = await pay.trigger({ tenantId, says })
  await kit.drain()
  return id
}

/** Groups of this test alone begin with a word of its own. */
async function groupOf(word: string, of: { tenantId?: string } = {}): Promise<FailureGroup> {
  const { groups } = await failures.list({ ...of, limit: 1000 })
  return groups.find(({ message }) => message.startsWith(word))!
}

test('attempts that are alike are one group, over tenants, with the last one as its example', async () => {
  await fail(one, 'Alike: order 1 of one@example.com was refused')
  await fail(one, 'Alike: order 2 of two@example.com was refused')
  const last = await fail(two, 'Alike: order 3 of three@example.com was refused')
  const group = await groupOf('Alike')
  expect(group).toMatchObject({
    state: 'open',
    taskId: pay.id,
    errorName: 'AbortTaskError',
    errorCode: 'E_CARD',
    message: 'Alike: order <number> of <email> was refused',
    frame: expect.stringMatching(/^.*run \(.*failures\.test\.ts\)$/),
    failures: 3,
    tenants: 2,
    last: { runId: last, tenantId: two, message: 'Alike: order 3 of three@example.com was refused' },
  })
  expect(group.firstSeenAt.getTime()).toBeLessThan(group.lastSeenAt.getTime())
  expect(group.hours).toHaveLength(24)
  expect(group.hours.reduce((sum, hour) => sum + hour)).toBe(3)
  const { runs: failed } = await runs.list({ fingerprint: group.fingerprint })
  expect(failed).toHaveLength(3)
})

test('a tenant sees its own part and no word of another', async () => {
  await fail(one, 'Own: order 1 of ada@example.com was refused')
  await fail(two, 'Own: order 2 of bob@example.com was refused')
  await fail(two, 'Secret words of two')
  const { groups } = await failures.list({ tenantId: one })
  expect(groups).toMatchObject([{ failures: 1, tenants: 1, last: { tenantId: one } }])
  expect(JSON.stringify(groups)).not.toMatch(/bob|Secret/)
  expect(JSON.stringify(groups)).not.toContain(two)
  const foreign = await groupOf('Secret')
  await expect(failures.get(foreign.fingerprint, { tenantId: one })).rejects.toThrow(UnknownFailureGroupError)
  expect(await failures.get(groups[0]!.fingerprint)).toMatchObject({ failures: 2, tenants: 2 })
  expect(await failures.get(groups[0]!.fingerprint, { tenantId: two })).toMatchObject({ failures: 1 })
})

describe('a group', () => {
  test('that was resolved is open again when it comes back', async () => {
    await fail(one, 'Back')
    const { fingerprint } = await groupOf('Back')
    await failures.resolve(fingerprint)
    expect(await failures.get(fingerprint)).toMatchObject({ state: 'resolved', resolvedAt: expect.any(Date) })
    const stateIn = async (states: FailureGroup['state'][]) =>
      (await failures.list({ states, tenantId: one })).groups.map((group) => group.fingerprint)
    expect(await stateIn(['open'])).toEqual([])
    expect(await stateIn(['resolved', 'ignored'])).toEqual([fingerprint])
    await fail(one, 'Back')
    expect(await failures.get(fingerprint)).toMatchObject({ state: 'open', failures: 2 })
  })

  test('that is ignored stays so until then, whatever comes, and not after', async () => {
    await fail(one, 'Quiet')
    const { fingerprint } = await groupOf('Quiet')
    await failures.ignore(fingerprint, new Date(Date.now() + 3_600_000))
    await fail(one, 'Quiet')
    expect(await failures.get(fingerprint)).toMatchObject({ state: 'ignored', failures: 2 })
    // As if the hour were over.
    await query('UPDATE public.platform_failure_marks SET ignored_until = now() WHERE fingerprint = $1', [
      fingerprint,
    ])
    expect((await failures.get(fingerprint)).state).toBe('ignored')
    await fail(one, 'Quiet')
    expect((await failures.get(fingerprint)).state).toBe('open')
  })

  test('can be reopened by hand', async () => {
    await fail(one, 'Hand')
    const { fingerprint } = await groupOf('Hand')
    await failures.resolve(fingerprint)
    await failures.reopen(fingerprint)
    expect((await failures.get(fingerprint)).state).toBe('open')
  })

  test('goes with the last tenant that was in it, and with what it was marked', async () => {
    const { deleteTenant } = await import('../../src/default-platform.ts')
    await fail(one, 'Gone')
    await fail(two, 'Gone')
    const { fingerprint } = await groupOf('Gone')
    await failures.resolve(fingerprint, { tenantId: one })
    await failures.resolve(fingerprint)
    const marks = () =>
      query('SELECT tenant_id FROM public.platform_failure_marks WHERE fingerprint = $1', [fingerprint])
    await deleteTenant(one)
    expect(await failures.get(fingerprint)).toMatchObject({ failures: 1, tenants: 1 })
    expect(await marks()).toEqual([{ tenant_id: null }])
    await deleteTenant(two)
    await expect(failures.get(fingerprint)).rejects.toThrow(UnknownFailureGroupError)
    expect(await marks()).toEqual([])
  })
})

describe('a mark', () => {
  const hour = 3_600_000
  const ahead = () => new Date(Date.now() + hour)
  const stateFor = async (fingerprint: string, tenantId?: string) => {
    return (await failures.get(fingerprint, tenantId === undefined ? {} : { tenantId })).state
  }

  test.each([
    ['resolve', 'resolved'],
    ['ignore', 'ignored'],
  ] as const)(
    'of a tenant (%s) is for that tenant alone: the others and operators see the group as before',
    async (how, state) => {
      await fail(one, `Theirs ${how}`)
      await fail(two, `Theirs ${how}`)
      const { fingerprint } = await groupOf(`Theirs ${how}`)
      if (how === 'resolve') await failures.resolve(fingerprint, { tenantId: one })
      else await failures.ignore(fingerprint, ahead(), { tenantId: one })
      expect(await stateFor(fingerprint, one)).toBe(state)
      expect(await failures.get(fingerprint, { tenantId: two })).toMatchObject({
        state: 'open',
        resolvedAt: null,
        ignoredUntil: null,
      })
      expect(await failures.get(fingerprint)).toMatchObject({
        state: 'open',
        resolvedAt: null,
        ignoredUntil: null,
      })
      const { groups } = await failures.list({ states: ['open'], limit: 1000 })
      expect(groups.map((group) => group.fingerprint)).toContain(fingerprint)
      expect((await failures.list({ states: ['open'], tenantId: one })).groups).toEqual([])
    },
  )

  test('for all is for those who are in the group, and not for who comes into it later', async () => {
    await fail(one, 'Later')
    const { fingerprint } = await groupOf('Later')
    await failures.ignore(fingerprint, ahead())
    await fail(one, 'Later')
    expect([await stateFor(fingerprint), await stateFor(fingerprint, one)]).toEqual(['ignored', 'ignored'])
    await fail(two, 'Later')
    expect(await stateFor(fingerprint, one)).toBe('ignored')
    // That there was a mark before would tell that somebody else was in the group.
    expect(await failures.get(fingerprint, { tenantId: two })).toMatchObject({
      state: 'open',
      ignoredUntil: null,
    })
    expect(await stateFor(fingerprint)).toBe('open')
    await failures.ignore(fingerprint, ahead())
    await fail(two, 'Later')
    expect([await stateFor(fingerprint), await stateFor(fingerprint, two)]).toEqual(['ignored', 'ignored'])
  })

  test('for all is followed by one of the tenant, and the other way round', async () => {
    await fail(one, 'Last')
    const { fingerprint } = await groupOf('Last')
    await failures.resolve(fingerprint)
    await failures.reopen(fingerprint, { tenantId: one })
    expect([await stateFor(fingerprint), await stateFor(fingerprint, one)]).toEqual(['resolved', 'open'])
    await failures.ignore(fingerprint, ahead(), { tenantId: one })
    await failures.reopen(fingerprint)
    expect([await stateFor(fingerprint), await stateFor(fingerprint, one)]).toEqual(['open', 'open'])
  })

  test('is made by who is in the group', async () => {
    await fail(one, 'Foreign')
    const { fingerprint } = await groupOf('Foreign')
    for (const call of [
      () => failures.resolve(fingerprint, { tenantId: two }),
      () => failures.reopen(fingerprint, { tenantId: two }),
      () => failures.ignore(fingerprint, ahead(), { tenantId: two }),
    ]) {
      await expect(call()).rejects.toThrow(UnknownFailureGroupError)
    }
    expect(await stateFor(fingerprint)).toBe('open')
  })

  test('to ignore is for a year at most', async () => {
    await fail(one, 'Year')
    const { fingerprint } = await groupOf('Year')
    const year = 366 * 24 * hour
    await failures.ignore(fingerprint, new Date(Date.now() + year - 1_000))
    for (const until of [new Date(Date.now() + year + 60_000), new Date('9999-01-01')]) {
      await expect(failures.ignore(fingerprint, until)).rejects.toThrow(InvalidFailureMarkError)
    }
  })
})

describe('inside the context of a tenant', () => {
  test('there are its groups alone, and its part of them', async () => {
    await fail(one, 'Inside shared')
    await fail(two, 'Inside shared')
    await fail(two, 'Inside foreign')
    const foreign = await groupOf('Inside foreign')
    await withTenant(one, async () => {
      const { groups } = await failures.list()
      expect(groups).toMatchObject([{ failures: 1, tenants: 1, last: { tenantId: one } }])
      const { fingerprint } = groups[0]!
      expect(await failures.get(fingerprint)).toMatchObject({ failures: 1, tenants: 1 })
      await failures.resolve(fingerprint)
      expect(await failures.get(fingerprint, { tenantId: one })).toMatchObject({ state: 'resolved' })
      await expect(failures.list({ tenantId: two })).rejects.toThrow(TenantMismatchError)
      await expect(failures.get(fingerprint, { tenantId: two })).rejects.toThrow(TenantMismatchError)
      await expect(failures.reopen(fingerprint, { tenantId: two })).rejects.toThrow(TenantMismatchError)
      await expect(failures.get(foreign.fingerprint)).rejects.toThrow(UnknownFailureGroupError)
      await expect(failures.resolve(foreign.fingerprint)).rejects.toThrow(UnknownFailureGroupError)
    })
    expect((await groupOf('Inside shared')).state).toBe('open')
    expect((await groupOf('Inside foreign')).state).toBe('open')
  })
})

test('upkeep adds up what is there, by the hour and then as a whole, and loses nothing', async () => {
  const { database } = await kit.platform.ready()
  for (const number of [1, 2, 3]) await fail(one, `Sum ${number}`)
  const { fingerprint } = await groupOf('Sum')
  const rows = () =>
    query('SELECT hour::text FROM public.platform_failure_counts WHERE fingerprint = $1', [fingerprint])
  const before = await failures.get(fingerprint)
  expect(await rows()).toHaveLength(3)
  await Promise.all([addUpFailures(database), addUpFailures(database)])
  expect(await rows()).toHaveLength(1)
  expect(await failures.get(fingerprint)).toEqual(before)
  await query(
    `UPDATE public.platform_failure_counts SET hour = hour - interval '8 days' WHERE fingerprint = $1`,
    [fingerprint],
  )
  await fail(one, 'Sum 4')
  await addUpFailures(database)
  expect(await rows()).toHaveLength(2)
  expect(await rows()).toContainEqual({ hour: '-infinity' })
  const after = await failures.get(fingerprint)
  expect(after).toMatchObject({ failures: 4, firstSeenAt: before.firstSeenAt })
  expect(after.hours.reduce((sum, hour) => sum + hour)).toBe(1)
})

test('pages are turned, those seen last first', async () => {
  for (const word of ['Alpha', 'Beta', 'Gamma']) await fail(one, `Page ${word}`)
  const first = await failures.list({ tenantId: one, limit: 2 })
  const second = await failures.list({ tenantId: one, limit: 2, after: first.next! })
  expect([...first.groups, ...second.groups].map(({ message }) => message)).toEqual([
    'Page Gamma',
    'Page Beta',
    'Page Alpha',
  ])
  expect(second.next).toBeNull()
})

test('what cannot be used is refused', async () => {
  const unknown = 'f'.repeat(20)
  for (const call of [
    () => failures.get(unknown),
    () => failures.resolve(unknown),
    () => failures.reopen('x'),
  ]) {
    await expect(call()).rejects.toThrow(UnknownFailureGroupError)
  }
  const ahead = new Date(Date.now() + 60_000)
  await expect(failures.ignore(unknown, ahead)).rejects.toThrow(UnknownFailureGroupError)
  for (const until of [new Date(0), new Date('never'), 'tomorrow']) {
    await expect(failures.ignore(unknown, until as Date)).rejects.toThrow(InvalidFailureMarkError)
  }
  for (const filter of [
    { limit: 0 },
    { states: ['new'] },
    { states: [] },
    { tenant: 'x' },
    { after: 'x' },
    { taskId: 1 },
    null,
  ]) {
    await expect(failures.list(filter as never)).rejects.toThrow(InvalidRunFilterError)
  }
})
