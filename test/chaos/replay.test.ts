/** Processes that are killed while they replay 2,000 runs: each old run has its new one, and has it once. */
import { describe, expect, test } from 'vitest'
import type { BulkAction } from '../../src/runs/bulk/action.ts'
import type { DriverProcessOptions } from '../fixtures/chaos/driver.ts'
import { work } from '../fixtures/chaos/tasks.ts'
import { type Stage, setStage } from './stage.ts'

const total = 2_000
const reason = 'The provider is back'

describe('a replay of 2,000 runs', { timeout: 180_000 }, () => {
  test('killed in the middle of a step, twice, at different places: a worker finishes it', async (context) => {
    const stage = await setStage(context, { tenants: 4 })
    const id = await confirmReplay(stage, 400)

    await killAt(stage, { step: 2, place: 'after' })
    expect(await countNew(stage)).toEqual({ runs: 400, replayed: 400 })
    await killAt(stage, { step: 3, place: 'before' })
    expect(await countNew(stage)).toEqual({ runs: 1_200, replayed: 1_200 })

    await stage.worker()
    await untilEnded(stage, id)
    await stage.untilAllEnded()
    expect(await countNew(stage)).toEqual({ runs: total, replayed: total })
    expect(await stage.platform.bulk.get(id)).toMatchObject({
      state: 'completed',
      counts: { done: total, waiting: 0, refused: 0, skipped: 0 },
    })
    expect(await stage.platform.bulk.results(id)).toMatchObject({ completed: total })
  })

  test('by three processes at once, one of which is killed: no faster than it may be', async (context) => {
    const stage = await setStage(context, { tenants: 4 })
    const id = await confirmReplay(stage, 500)
    const drivers = Array.from({ length: 3 }, () => drive(stage, {}))
    await Promise.race(drivers.map((driver) => driver.says('step')))
    await drivers.find((driver) => driver.heard('step').length > 0)!.kill()
    const { confirmedAt, finishedAt } = await untilEnded(stage, id)
    expect(await countNew(stage)).toEqual({ runs: total, replayed: total })
    // Four steps take the runs, a second apart, and a fifth finds none left.
    expect(finishedAt!.getTime() - confirmedAt!.getTime()).toBeGreaterThanOrEqual(4_000)
  })

  test('stopped half-way under load: what was done stays done, and nothing comes after it', async (context) => {
    const stage = await setStage(context, { tenants: 4 })
    const id = await confirmReplay(stage, 200)
    const workers = await Promise.all([stage.worker(), stage.worker()])
    await stage.until(
      'a part is done',
      60_000,
      async () => (await stage.platform.bulk.get(id)).counts.done >= 400,
    )
    const stopped = await stage.platform.bulk.stop(id)
    const { done, skipped, waiting } = stopped.counts
    expect(stopped.state).toBe('stopped')
    expect({ of: done + skipped, waiting }).toEqual({ of: total, waiting: 0 })
    expect(done).toBeLessThan(total)
    // Another one is done from its beginning to its end meanwhile, so this one had its turn to go on.
    const next = await confirmReplay(stage, 1_000)
    await untilEnded(stage, next)
    await stage.untilAllEnded()
    for (const worker of workers) worker.signal('SIGTERM')
    await Promise.all(workers.map((worker) => worker.ended))
    expect(await stage.platform.bulk.get(id)).toEqual(stopped)
    expect(await stage.platform.bulk.results(id)).toMatchObject({ completed: done })
    expect((await countNew(stage)).runs).toBe(done + total)
  })
})

/** Runs that have failed, put there by hand, for it is not they who are tried. Answers the id of their replay. */
async function confirmReplay(stage: Stage, perSecond: number): Promise<string> {
  const rows = await stage.query<{ id: string }>(
    `INSERT INTO public.platform_runs (
       id, task_id, tenant_id, state, payload, priority, attempt, max_attempts, triggered_by, created_at, run_at, engine)
     SELECT gen_random_uuid(), $1, tenant_id, 'failed', jsonb_build_object('tenantId', tenant_id), 0, 1, 5, 'app', now(),
       now(), 'pg-boss'
     FROM (SELECT ($3::text[])[1 + number % cardinality($3)] AS tenant_id FROM generate_series(1, $2) AS number) AS made
     RETURNING id`,
    [work.id, total, stage.tenants],
  )
  const { bulk } = stage.platform
  const { id } = await bulk.previewReplay({ runIds: rows.map((row) => row.id) })
  expect(await bulk.confirm(id, { reason, perSecond })).toMatchObject({ total, state: 'running' })
  return id
}

function drive(stage: Stage, options: Omit<DriverProcessOptions, 'url'>) {
  return stage.spawn('driver.ts', { url: stage.url, ...options })
}

async function killAt(stage: Stage, holdAt: NonNullable<DriverProcessOptions['holdAt']>): Promise<void> {
  const driver = drive(stage, { holdAt })
  await driver.says('holding')
  await driver.kill()
  // Postgres has to notice that its client is gone, before others find the action free.
  await stage.until('the transaction is rolled back', 30_000, async () => {
    const rows = await stage.query(
      `SELECT FROM public.platform_bulk_actions WHERE state = 'running' FOR UPDATE SKIP LOCKED`,
    )
    return rows.length === 1
  })
}

async function untilEnded(stage: Stage, id: string): Promise<BulkAction> {
  let action = await stage.platform.bulk.get(id)
  await stage.until('the replay has ended', 90_000, async () => {
    action = await stage.platform.bulk.get(id)
    return action.state !== 'running'
  })
  return action
}

/** How many new runs there are, in the queue and ended, and of how many old ones. */
async function countNew(stage: Stage): Promise<{ runs: number; replayed: number }> {
  const [row] = await stage.query<{ runs: number; replayed: number }>(
    `SELECT count(*)::int AS runs, count(DISTINCT replay_of)::int AS replayed FROM (
       SELECT data->>'replayOf' AS replay_of FROM pgboss.job WHERE state < 'completed'
       UNION ALL SELECT replay_of FROM public.platform_runs
     ) AS run WHERE replay_of IS NOT NULL`,
  )
  return row!
}
