/** What Trigger.dev ends by itself is in a failure group as any other, though no process of ours told of it. */
import { beforeEach, expect, test } from 'vitest'
import { createTenant, deleteTenant, failures, runs, sql } from '../../../src/default-platform.ts'
import { recordAttempt } from '../../../src/engines/trigger/record-attempt.ts'
import type { StoredRun } from '../../fixtures/trigger/stored-run.ts'
import { cloud, engine, newTenant, note, onTriggerDev, platform, stored } from './kit.ts'

onTriggerDev()

let tenantId: string
beforeEach(async () => {
  tenantId = await newTenant()
})

async function ended(status: StoredRun['status'], attempts = 1): Promise<string> {
  const { id } = await note.trigger({ tenantId })
  Object.assign(stored(id), { attemptCount: attempts, startedAt: attempts > 0 ? cloud.store.now : null })
  cloud.store.end(stored(id), status)
  return id
}

async function recordAs(runId: string, attempt: number, result: 'retry' | 'failed'): Promise<void> {
  const { database } = await platform.ready()
  const error = { name: 'Error', code: 'E_TOLD', message: 'told', stack: null }
  const about = { runId, attempt, taskId: note.id, tenantId, result, error, startedAt: new Date() }
  await recordAttempt(database, about)
}

const groups = async () => (await failures.list({ tenantId })).groups
const keepUp = () => engine.keepUp!()

test.each(['CRASHED', 'SYSTEM_FAILURE', 'TIMED_OUT', 'FAILED'] as const)('%s', async (status) => {
  const id = await ended(status, 2)
  await recordAs(id, 1, 'retry')
  await keepUp()
  await keepUp()
  const run = await runs.get(id)
  expect(run).toMatchObject({ state: 'failed', attempt: 2, fingerprint: expect.any(String) })
  expect(run.attempts).toMatchObject([
    { attempt: 1, result: 'retry' },
    { attempt: 2, result: 'failed', fingerprint: run.fingerprint },
  ])
  expect(await failures.get(run.fingerprint!, { tenantId })).toMatchObject({
    state: 'open',
    failures: 1,
    taskId: note.id,
    last: { runId: id },
  })
  const { runs: found } = await runs.list({ tenantId, fingerprint: run.fingerprint! })
  expect(found.map((one) => one.id)).toEqual([id])
})

test('before it had begun', async () => {
  const id = await ended('SYSTEM_FAILURE', 0)
  await keepUp()
  expect(await groups()).toMatchObject([{ errorCode: 'SYSTEM_FAILURE', last: { runId: id } }])
})

test('what has told of itself is on record already, also where it said that another attempt follows', async () => {
  const [told, last] = [await ended('FAILED'), await ended('CRASHED')]
  await recordAs(told, 1, 'failed')
  await recordAs(last, 1, 'retry')
  await keepUp()
  expect(await groups()).toMatchObject([{ errorCode: 'E_TOLD', failures: 2 }])
  expect((await runs.get(last)).attempts).toMatchObject([{ attempt: 1, result: 'failed' }])
})

test('what has not failed is no failure', async () => {
  for (const status of ['EXPIRED', 'CANCELED', 'COMPLETED'] as const) await ended(status)
  await keepUp()
  expect(await groups()).toEqual([])
})

test('what has been on record and is past its retention does not come up again', async () => {
  const id = await ended('CRASHED')
  await keepUp()
  const [group] = await groups()
  await failures.resolve(group!.fingerprint)
  stored(id).finishedAt = cloud.store.now - 100 * 86_400_000
  await sql`UPDATE public.platform_attempts SET finished_at = now() - interval '100 days' WHERE run_id = ${id}`
  await keepUp()
  expect((await runs.get(id)).attempts).toEqual([])
  await keepUp()
  expect(await groups()).toMatchObject([{ state: 'resolved', failures: 1 }])
})

test('what was of a tenant that has been deleted is nobody\u2019s, also where another has its name', async () => {
  const id = await ended('CRASHED')
  Object.assign(stored(id), { createdAt: cloud.store.now - 3_600_000 })
  await deleteTenant(tenantId, { force: true })
  await createTenant(tenantId)
  await keepUp()
  expect(await groups()).toEqual([])
})
