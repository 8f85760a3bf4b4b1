/** Which bulk actions are deleted, and when; and what a deleted tenant leaves of them. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { audit, bulkActions, deleteTenant } from '../../src/default-platform.ts'
import { UnknownBulkActionError } from '../../src/errors.ts'
import { deleteOutdated } from '../../src/runs/retention.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

const task = defineTask({ id: 'outdated/task', payload: tenantPayload({}), run: () => null })
const day = 86_400_000
const reason = 'A test'

let kit: TestPlatform
beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [task] })
})
afterAll(() => kit.close())

async function query<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
  return (await (await kit.platform.ready()).database.query<Row>(text, values)).rows
}

/** A preview of one run of each of these tenants; by default of a new one. */
async function previewed(...tenantIds: string[]): Promise<string> {
  const whose = tenantIds.length > 0 ? tenantIds : [await kit.tenant()]
  const handles = await task.batchTrigger(whose.map((tenantId) => ({ payload: { tenantId } })))
  await kit.drain()
  return (await bulkActions.previewReplay({ runIds: handles.map(({ id }) => id) })).id
}

async function confirmed(id: string): Promise<string> {
  await bulkActions.confirm(id, { reason })
  return id
}

async function stopped(id: string): Promise<string> {
  await bulkActions.stop(await confirmed(id))
  return id
}

async function makeOlder(id: string, days: number): Promise<void> {
  await query(
    `UPDATE public.platform_bulk_actions SET created_at = created_at - $2 * interval '1 day',
       confirmed_at = confirmed_at - $2 * interval '1 day', finished_at = finished_at - $2 * interval '1 day'
     WHERE id = $1`,
    [id, days],
  )
}

async function upkeep(): Promise<void> {
  const { database } = await kit.platform.ready()
  await deleteOutdated(database, { keepCompletedMs: 7 * day, keepFailedMs: 90 * day })
}

async function isThere(id: string): Promise<boolean> {
  return await bulkActions.get(id).then(
    () => true,
    (error: unknown) => {
      expect(error).toBeInstanceOf(UnknownBulkActionError)
      return false
    },
  )
}

async function countRuns(id: string): Promise<number> {
  const [row] = await query<{ runs: number }>(
    'SELECT count(*)::int AS runs FROM public.platform_bulk_action_runs WHERE action_id = $1',
    [id],
  )
  return row!.runs
}

test('a preview goes after a day, what has ended after 90, what runs never', async () => {
  const [fresh, old] = [await previewed(), await previewed()]
  const [recent, ended] = [await stopped(await previewed()), await stopped(await previewed())]
  const running = await confirmed(await previewed())
  for (const [id, days] of [
    [old, 1.1],
    [recent, 89],
    [ended, 90.1],
    [running, 400],
  ] as const) {
    await makeOlder(id, days)
  }
  await upkeep()
  expect(await Promise.all([fresh, old, recent, ended, running].map(isThere))).toEqual([
    true,
    false,
    true,
    false,
    true,
  ])
  expect(await Promise.all([fresh, old, recent, ended, running].map(countRuns))).toEqual([1, 0, 1, 0, 1])
  const subjects = (await audit.list({ action: 'run.replay' })).entries.map(({ subject }) => subject)
  expect(subjects).toContain(ended)
})

test('one of many runs goes in portions, wholly, by several workers at once', async () => {
  const id = await previewed()
  await query(
    `INSERT INTO public.platform_bulk_action_runs (action_id, number, run_id, task_id, tenant_id)
     SELECT $1, number, gen_random_uuid(), 'outdated/task', 'many' FROM generate_series(2, 25000) AS number`,
    [id],
  )
  await makeOlder(id, 2)
  await Promise.all([upkeep(), upkeep()])
  expect(await isThere(id)).toBe(false)
  expect(await countRuns(id)).toBe(0)
})

test('a deleted tenant takes its runs out of every action, and those along that were its own; the audit log stays', async () => {
  const [gone, stays] = [await kit.tenant(), await kit.tenant()]
  const own = await stopped(await previewed(gone))
  const both = await previewed(gone, stays)
  await deleteTenant(gone)
  expect(await isThere(own)).toBe(false)
  expect(await countRuns(own)).toBe(0)
  expect((await bulkActions.runs(both)).map(({ tenantId }) => tenantId)).toEqual([stays])
  expect((await audit.list({ tenantIds: [gone] })).entries).toMatchObject([
    { action: 'run.replay.stop', subject: own },
    { action: 'run.replay', subject: own, reason },
  ])
})
