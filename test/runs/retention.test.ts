/** What upkeep deletes, what it keeps longer, and what it never deletes unseen. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { failures, runs } from '../../src/default-platform.ts'
import { recordAttempt } from '../../src/engines/trigger/record-attempt.ts'
import { AbortTaskError, UnknownRunError } from '../../src/errors.ts'
import { createLogger } from '../../src/log.ts'
import { addUpCounts } from '../../src/runs/counts.ts'
import { deleteOutdated } from '../../src/runs/retention.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

const task = defineTask({
  id: 'retention/task',
  payload: tenantPayload({ fail: z.string().optional() }),
  run({ fail }, { logger, progress }) {
    logger.info('here')
    progress(0.5)
    if (fail !== undefined) throw new AbortTaskError(fail)
  },
})
const day = 86_400_000
const usual = { keepCompletedMs: 7 * day, keepFailedMs: 90 * day }

let kit: TestPlatform
let query: <Row = unknown>(text: string, values?: unknown[]) => Promise<Row[]>
let tenantId: string

beforeAll(async () => {
  kit = await createTestPlatform({
    engine: 'pg-boss',
    tasks: [task],
    logger: createLogger('info', { write: () => {} }),
  })
  const { database } = await kit.platform.ready()
  query = async (text, values = []) => (await database.query<never>(text, values)).rows
})
afterAll(() => kit.close())
beforeEach(async () => {
  tenantId = await kit.tenant()
})

async function ended(options: {
  fail?: string
  tags?: string[]
  key?: string
  daysAgo: number
  of?: string
}): Promise<string> {
  const { fail, tags = [], key, daysAgo, of = tenantId } = options
  const payload = { tenantId: of, ...(fail !== undefined && { fail }) }
  const { id } = await task.trigger(payload, {
    tags,
    ...(key !== undefined && { idempotencyKey: key, idempotencyKeyTtl: '365d' }),
  })
  await kit.drain()
  await query(
    `WITH tags AS (UPDATE public.platform_run_tags SET created_at = created_at - $2 * interval '1 day' WHERE run_id = $1)
     UPDATE public.platform_runs SET
       created_at = created_at - $2 * interval '1 day', finished_at = finished_at - $2 * interval '1 day'
     WHERE id = $1`,
    [id, daysAgo],
  )
  return id
}

async function upkeep(retention = usual): Promise<void> {
  await deleteOutdated((await kit.platform.ready()).database, retention)
}

async function isThere(id: string): Promise<boolean> {
  return await runs.get(id).then(
    () => true,
    (error: unknown) => {
      expect(error).toBeInstanceOf(UnknownRunError)
      return false
    },
  )
}

test('what completed goes after 7 days, with its tags, logs and progress; what failed after 90, with its attempts', async () => {
  const young = await ended({ daysAgo: 6 })
  const old = await ended({ daysAgo: 8, tags: ['red'] })
  const failed = await ended({ daysAgo: 89, fail: 'twice' })
  const longAgo = await ended({ daysAgo: 91, fail: 'twice' })
  await upkeep()
  expect(await Promise.all([young, old, failed, longAgo].map(isThere))).toEqual([true, false, true, false])
  for (const table of ['tags', 'logs', 'log_heads', 'progress']) {
    const left = `SELECT FROM public.platform_run_${table} WHERE run_id = $1`
    expect([table, await query(left, [old])]).toEqual([table, []])
    if (table !== 'tags') expect([table, await query(left, [young])]).not.toEqual([table, []])
  }
  expect(await query('SELECT FROM public.platform_attempts WHERE run_id = $1', [longAgo])).toEqual([])
})

test('how long is configured', async () => {
  const old = await ended({ daysAgo: 3 })
  await upkeep()
  expect(await isThere(old)).toBe(true)
  await upkeep({ ...usual, keepCompletedMs: 2 * day })
  expect(await isThere(old)).toBe(false)
})

test('what was created long before it ended is kept from its end on', async () => {
  const late = await ended({ daysAgo: 8 })
  await query('UPDATE public.platform_runs SET finished_at = now() WHERE id = $1', [late])
  await upkeep()
  expect(await isThere(late)).toBe(true)
})

test('the last run of a group that nobody has dealt with stays, and what goes stays counted', async () => {
  const first = await ended({ daysAgo: 200, fail: 'unseen' })
  const last = await ended({ daysAgo: 199, fail: 'unseen' })
  const { fingerprint } = await runs.get(last)
  await upkeep()
  expect(await Promise.all([first, last].map(isThere))).toEqual([false, true])
  expect((await runs.get(last)).attempts).toHaveLength(1)
  expect(await failures.get(fingerprint!)).toMatchObject({
    state: 'open',
    failures: 2,
    last: { runId: last },
  })

  await failures.resolve(fingerprint!)
  await upkeep()
  expect(await isThere(last)).toBe(false)
  expect(await failures.get(fingerprint!)).toMatchObject({ state: 'resolved', failures: 2 })
  await query(
    `UPDATE public.platform_failure_marks SET resolved_at = now() - interval '91 days' WHERE fingerprint = $1`,
    [fingerprint],
  )
  await query(
    `UPDATE public.platform_failure_counts SET last_at = last_at - interval '92 days' WHERE fingerprint = $1`,
    [fingerprint],
  )
  await upkeep()
  expect((await failures.list({ tenantId })).groups).toEqual([])
})

test('what a tenant marks is its own: the last run stays until it is resolved for all, and that of each tenant', async () => {
  const other = await kit.tenant()
  const ours = await ended({ daysAgo: 200, fail: 'ours' })
  const theirs = await ended({ daysAgo: 100, fail: 'ours', of: other })
  const { fingerprint } = await runs.get(ours)
  const left = async () => {
    await upkeep()
    return await Promise.all([ours, theirs].map(isThere))
  }
  expect(await left()).toEqual([true, true])
  await failures.resolve(fingerprint!, { tenantId })
  await failures.ignore(fingerprint!, new Date(Date.now() + day), { tenantId: other })
  expect(await left()).toEqual([true, true])
  await failures.resolve(fingerprint!)
  await failures.reopen(fingerprint!, { tenantId: other })
  expect(await left()).toEqual([false, true])
  await failures.resolve(fingerprint!)
  expect(await left()).toEqual([false, false])
})

test('a group that was resolved for all goes, but not one that a tenant has marked otherwise since', async () => {
  const fingerprints: string[] = []
  for (const fail of ['goes', 'stays']) {
    const { fingerprint } = await runs.get(await ended({ daysAgo: 100, fail }))
    await failures.resolve(fingerprint!)
    fingerprints.push(fingerprint!)
  }
  for (const [table, columns] of [
    ['counts', ['first_at', 'last_at']],
    ['marks', ['marked_at', 'resolved_at']],
  ] as const) {
    await query(
      `UPDATE public.platform_failure_${table} SET ${columns.map((one) => `${one} = ${one} - interval '91 days'`)}
       WHERE fingerprint = ANY($1)`,
      [fingerprints],
    )
  }
  await failures.reopen(fingerprints[1]!, { tenantId })
  await upkeep()
  const { groups } = await failures.list({ tenantId })
  expect(groups.map(({ fingerprint, state }) => [fingerprint, state])).toEqual([[fingerprints[1], 'open']])
})

test('of runs that are elsewhere, the last failed attempt of a group that is open stays', async () => {
  const { database } = await kit.platform.ready()
  const about = { attempt: 1, taskId: task.id, tenantId, result: 'failed', startedAt: new Date() } as const
  const error = { name: 'Error', code: null, message: 'elsewhere', stack: null }
  const [first, last] = [crypto.randomUUID(), crypto.randomUUID()]
  for (const runId of [first, last]) await recordAttempt(database, { ...about, runId, error })
  await query(
    `WITH counts AS (
       UPDATE public.platform_failure_counts SET
         first_at = first_at - interval '91 days', last_at = last_at - interval '91 days' WHERE tenant_id = $1)
     UPDATE public.platform_attempts SET finished_at = finished_at - interval '91 days' WHERE tenant_id = $1`,
    [tenantId],
  )
  const left = async () => {
    await upkeep()
    return await query('SELECT run_id AS id FROM public.platform_attempts WHERE tenant_id = $1', [tenantId])
  }
  expect(await left()).toEqual([{ id: last }])
  await failures.resolve((await failures.list({ tenantId })).groups[0]!.fingerprint)
  expect(await left()).toEqual([])
})

test('a key that a deleted failed run had is free', async () => {
  const failed = await ended({ daysAgo: 91, fail: 'key', key: 'order 1' })
  const { fingerprint } = await runs.get(failed)
  await failures.resolve(fingerprint!)
  await upkeep()
  const next = await task.trigger({ tenantId }, { idempotencyKey: 'order 1' })
  expect(next.id).not.toBe(failed)
})

test('counts are added up and lose nothing, and go with the failed runs', async () => {
  const { database } = await kit.platform.ready()
  for (let number = 0; number < 3; number += 1) await ended({ daysAgo: 0 })
  const rows = () => query('SELECT FROM public.platform_run_counts WHERE tenant_id = $1', [tenantId])
  const counted = [{ taskId: task.id, tenantId, state: 'completed', runs: 3 }]
  expect(await runs.counts({ tenantId })).toEqual(counted)
  expect(await rows()).toHaveLength(3)
  await Promise.all([addUpCounts(database), addUpCounts(database)])
  expect(await rows()).toHaveLength(1)
  expect(await runs.counts({ tenantId })).toEqual(counted)
  await query(`UPDATE public.platform_run_counts SET hour = hour - interval '91 days' WHERE tenant_id = $1`, [
    tenantId,
  ])
  await upkeep()
  expect(await rows()).toEqual([])
})
