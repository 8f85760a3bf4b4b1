/** Where a run is: a job while it is open, a row of history once it has ended, and never in both or in neither. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { runs } from '../../../src/default-platform.ts'
import type { Engine } from '../../../src/engines/engine.ts'
import { Boss } from '../../../src/engines/pg-boss/boss.ts'
import { claim } from '../../../src/engines/pg-boss/claim.ts'
import { recoverLost } from '../../../src/engines/pg-boss/heartbeat.ts'
import { expired, settle, toSettlement } from '../../../src/engines/pg-boss/settle.ts'
import { sweepEnded } from '../../../src/engines/pg-boss/sweep.ts'
import { keepUp } from '../../../src/engines/pg-boss/upkeep.ts'
import { AbortTaskError } from '../../../src/errors.ts'
import { createLogger } from '../../../src/log.ts'
import { deleteOutdated } from '../../../src/runs/retention.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../../src/testing/index.ts'

const task = defineTask({
  id: 'history/task',
  payload: tenantPayload({ fail: z.string().optional() }),
  retry: { maxAttempts: 2, minDelay: '1m' },
  run({ fail }) {
    if (fail !== undefined) throw new AbortTaskError(fail)
    return { fine: true }
  },
})
const untouched = { id: task.id, perTenant: null, services: [] }
const error = { name: 'Error', code: 'E_CARD', message: 'Order 1 was refused', stack: null }

let kit: TestPlatform
let engine: Engine
let query: <Row>(text: string, values?: unknown[]) => Promise<Row[]>
let tenantId: string

beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [task] })
  const started = await kit.platform.ready()
  engine = started.engine
  query = async (text, values = []) => (await started.database.query<never>(text, values)).rows
})
afterAll(() => kit.close())
beforeEach(async () => {
  tenantId = await kit.tenant()
})

const database = async () => (await kit.platform.ready()).database

async function placesOf(runId: string): Promise<{ jobs: number; ended: number }> {
  const [places] = await query<{ jobs: number; ended: number }>(
    `SELECT (SELECT count(*) FROM pgboss.job WHERE id = $1)::int AS jobs,
            (SELECT count(*) FROM public.platform_runs WHERE id = $1)::int AS ended`,
    [runId],
  )
  return places!
}

/** Right after a start of Postgres nobody is taken for lost. */
async function freshlyStartedIsOver(): Promise<void> {
  const isOver = async () => {
    const [row] = await query<{ over: boolean }>(
      `SELECT pg_postmaster_start_time() < clock_timestamp() - interval '11 seconds' AS over`,
    )
    return row!.over
  }
  await expect.poll(isOver, { timeout: 20_000 }).toBe(true)
}

async function started(options: Parameters<typeof task.trigger>[1] = {}) {
  const { id } = await task.trigger({ tenantId }, options)
  const { claims } = await claim(await database(), untouched, 100)
  return claims.find((one) => one.id === id)!
}

test('a run that ends is moved with all that is known of it', async () => {
  const { id } = await task.trigger({ tenantId }, { tags: ['red', 'big'], priority: 3, idempotencyKey: 'k' })
  const before = await runs.get(id)
  expect(await placesOf(id)).toEqual({ jobs: 1, ended: 0 })
  await kit.drain()
  expect(await placesOf(id)).toEqual({ jobs: 0, ended: 1 })
  const { attempts, ...after } = await runs.get(id)
  expect({ ...before, attempts }).toEqual({
    ...after,
    attempts: [],
    state: 'queued',
    attempt: 0,
    output: null,
    startedAt: null,
    finishedAt: null,
    worker: null,
  })
  expect(after).toMatchObject({
    state: 'completed',
    output: { fine: true },
    worker: expect.any(String),
    triggeredBy: { kind: 'app', ref: null },
    credentials: {},
  })
})

test('a settlement that is sent again changes and counts nothing the second time', async () => {
  const one = await started()
  const settlement = toSettlement(one, { kind: 'failed', error }, { stripe: 'v1' })
  expect(await settle(await database(), [settlement], 'a')).toEqual(new Set([one.id]))
  expect(await settle(await database(), [settlement], 'b')).toEqual(new Set())
  const run = await runs.get(one.id)
  expect(run).toMatchObject({ state: 'failed', error, worker: 'a', credentials: { stripe: 'v1' } })
  expect(run.attempts).toMatchObject([{ fingerprint: run.fingerprint, worker: 'a' }])
  expect(await runs.counts({ tenantId })).toEqual([{ taskId: task.id, tenantId, state: 'failed', runs: 1 }])
  const [group] = (await kit.platform.failures.list({ tenantId })).groups
  expect(group).toMatchObject({ failures: 1, tenants: 1 })
})

test('runs of every outcome are settled in one statement', async () => {
  const claims = await Promise.all(Array.from({ length: 6 }, () => task.trigger({ tenantId })))
  const { claims: taken } = await claim(await database(), untouched, 100)
  const [done, plain, again, failed, later, late] = taken.filter(({ id }) =>
    claims.some((one) => one.id === id),
  )
  await settle(
    await database(),
    [
      toSettlement(done!, { kind: 'completed', output: { n: 1 } }),
      toSettlement(plain!, { kind: 'completed', output: null }),
      toSettlement(again!, { kind: 'retry', delayMs: 60_000, error }),
      toSettlement(failed!, { kind: 'failed', error }),
      toSettlement(later!, { kind: 'postponed', delayMs: 60_000, reason: error }),
      expired(late!),
    ],
    'worker',
  )
  const stateOf = async ({ id }: { id: string }) => {
    const { state, attempt } = await runs.get(id)
    return `${state} ${attempt}, job ${(await placesOf(id)).jobs}`
  }
  expect(await Promise.all([done!, plain!, again!, failed!, later!, late!].map(stateOf))).toEqual([
    'completed 1, job 0',
    'completed 1, job 0',
    'retrying 1, job 1',
    'failed 1, job 0',
    'scheduled 0, job 1',
    'expired 0, job 0',
  ])
})

test('an output that looks like a failure makes none of a run that completed', async () => {
  const [one, two] = [await started(), await started()]
  const failure = { fingerprint: 'f'.repeat(20), message: 'x', frame: null }
  await settle(
    await database(),
    [
      toSettlement(one, { kind: 'completed', output: { failure, error } as never }),
      toSettlement(two, { kind: 'failed', error }),
    ],
    'worker',
  )
  expect(await runs.get(one.id)).toMatchObject({ state: 'completed', fingerprint: null, attempts: [] })
})

test('a cancelled run is moved, and its worker finds out', async () => {
  const one = await started()
  expect(await runs.cancel(one.id)).toBe(true)
  expect(await placesOf(one.id)).toEqual({ jobs: 0, ended: 1 })
  expect(await runs.cancel(one.id)).toBe(false)
  const late = toSettlement(one, { kind: 'completed', output: null })
  expect(await settle(await database(), [late], 'late')).toEqual(new Set())
  expect(await runs.get(one.id)).toMatchObject({ state: 'cancelled', attempt: 1, worker: null })
})

test('a run that was lost for the last time is moved, and is in a failure group', async () => {
  const [first, last] = [await started(), await started({ maxAttempts: 1 })]
  await query(`UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour' WHERE group_id = $1`, [
    tenantId,
  ])
  const lost = async () => (await recoverLost(await database(), [task.id])).map(({ failed }) => failed).sort()
  await expect.poll(lost, { timeout: 20_000 }).toEqual([false, true])
  expect(await placesOf(first.id)).toEqual({ jobs: 1, ended: 0 })
  expect(await placesOf(last.id)).toEqual({ jobs: 0, ended: 1 })
  const run = await runs.get(last.id)
  expect(run).toMatchObject({
    state: 'failed',
    attempt: 1,
    error: { code: 'RUN_LOST' },
    attempts: [{ result: 'lost' }],
  })
  const { groups } = await kit.platform.failures.list({ tenantId })
  expect(groups).toMatchObject([{ fingerprint: run.fingerprint, errorCode: 'RUN_LOST', failures: 2 }])
  await runs.cancel(first.id)
})

test('what ended by other hands is seen where it is, and moved by upkeep', async () => {
  const ids = await Promise.all(['failed', 'cancelled', 'completed'].map(() => task.trigger({ tenantId })))
  const [failed, cancelled, completed] = ids.map(({ id }) => id) as [string, string, string]
  const end = (id: string, state: string, output: object) =>
    query(
      `UPDATE pgboss.job SET state = $2, output = $3, completed_on = '2026-01-02', started_on = '2026-01-01' WHERE id = $1`,
      [id, state, JSON.stringify(output)],
    )
  await end(failed, 'failed', { value: { message: 'job timed out' } })
  await end(cancelled, 'cancelled', { expired: true })
  await end(completed, 'completed', { n: 1 })
  const look = async () => {
    const found = await engine.list({ tenantId, states: ['failed', 'expired', 'completed'], limit: 10 })
    return found.runs
      .map(({ worker: _, fingerprint: __, ...run }) => run)
      .sort((a, b) => a.state.localeCompare(b.state))
  }
  const before = await look()
  expect(before).toMatchObject([
    { id: completed, state: 'completed', output: { n: 1 }, error: null },
    { id: cancelled, state: 'expired', error: null },
    { id: failed, state: 'failed', attempt: 1, error: { message: 'job timed out' } },
  ])
  expect(await sweepEnded(await database())).toBe(3)
  expect(await look()).toEqual(before)
  for (const id of [failed, cancelled, completed]) expect(await placesOf(id)).toEqual({ jobs: 0, ended: 1 })
  expect(await sweepEnded(await database())).toBe(0)
})

test.each([
  ['by the backstop of pg-boss', { value: { message: 'job heartbeat timeout' } }, 'lost'],
  ['by hand, with an error', { error: { name: 'ByHand', message: 'Stopped by 1 person' } }, 'failed'],
  ['by hand, without one', null, 'failed'],
  ['by hand, with something else', { error: { message: { no: 'text' }, stack: 1 } }, 'failed'],
] as const)('what failed %s is in a failure group like any other', async (_, output, result) => {
  const { id } = await task.trigger({ tenantId }, { maxAttempts: 2 })
  await query(
    `UPDATE pgboss.job SET state = 'failed', output = $2, completed_on = now() - interval '1 day',
       started_on = now() - interval '2 days', retry_count = 1 WHERE id = $1`,
    [id, output && JSON.stringify(output)],
  )
  expect(await sweepEnded(await database())).toBe(1)
  const run = await runs.get(id)
  expect(run).toMatchObject({ state: 'failed', attempt: 2, fingerprint: expect.any(String) })
  expect(run.attempts).toMatchObject([{ attempt: 2, result, fingerprint: run.fingerprint, error: run.error }])
  const { groups } = await kit.platform.failures.list({ tenantId, states: ['open'] })
  expect(groups).toMatchObject([
    { fingerprint: run.fingerprint, errorName: run.error!.name, failures: 1, last: { runId: id } },
  ])
  const { runs: found } = await runs.list({ tenantId, fingerprint: run.fingerprint! })
  expect(found.map((one) => one.id)).toEqual([id])
  await deleteOutdated(await database(), { keepCompletedMs: 1, keepFailedMs: 1 })
  expect(await runs.get(id)).toMatchObject({ state: 'failed' })
})

test('an attempt that was lost is kept by upkeep before the backstop of pg-boss can take it back unseen', async () => {
  const { id } = await started()
  await query(`UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour' WHERE id = $1`, [id])
  await query(`UPDATE pgboss.queue SET monitor_on = NULL`)
  await freshlyStartedIsOver()
  const boss = new Boss({ database: await database(), migrate: false, logger: createLogger('silent') })
  await boss.start()
  const day = 86_400_000
  const lost = await keepUp(await database(), boss, { keepCompletedMs: day, keepFailedMs: day })
  await boss.stop()
  expect(lost).toMatchObject([{ taskId: task.id, tenantId, failed: false }])
  expect((await runs.get(id)).attempts).toMatchObject([{ result: 'lost', error: { code: 'RUN_LOST' } }])
  const { groups } = await kit.platform.failures.list({ tenantId })
  expect(groups).toMatchObject([{ errorCode: 'RUN_LOST', failures: 1 }])
  await runs.cancel(id)
})

test('who triggered a run, and what it replays, is kept on the way', async () => {
  const request = (triggeredBy: { kind: 'schedule' | 'replay' | 'app'; ref: string | null }) => ({
    ...{ id: crypto.randomUUID(), taskId: task.id, tenantId, input: { tenantId }, parentRunId: null },
    ...{ triggeredBy, replayOf: triggeredBy.kind === 'replay' ? 'run-1' : null, idempotency: null },
    ...{ delayMs: 0, runAt: null, priority: 0, ttlMs: null, tags: [], maxAttempts: 1 },
  })
  const [nightly, replay, app] = [
    request({ kind: 'schedule', ref: 'nightly' }),
    request({ kind: 'replay', ref: 'replay-1' }),
    request({ kind: 'app', ref: 'key-1' }),
  ]
  await engine.enqueue([nightly, replay, app], null)
  const look = async () => {
    for (const { id, triggeredBy, replayOf } of [nightly, replay, app]) {
      expect(await runs.get(id)).toMatchObject({ triggeredBy, replayOf })
    }
    const ids = async (filter: object) => (await runs.list({ tenantId, ...filter })).runs.map(({ id }) => id)
    expect(await ids({ replayOf: 'run-1' })).toEqual([replay.id])
    expect(await ids({ triggeredBy: { kind: 'replay' } })).toEqual([replay.id])
    expect(await ids({ triggeredBy: { kind: 'schedule', ref: 'nightly' } })).toEqual([nightly.id])
    expect(await ids({ triggeredBy: { kind: 'app', ref: 'key-1' } })).toEqual([app.id])
  }
  await look()
  await kit.drain()
  await look()
})
