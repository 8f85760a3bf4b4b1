/** Processes that are killed while they hand out a tick: every tenant has its run, and has it once. */
import { describe, expect, test } from 'vitest'
import type { Child } from './child.ts'
import { type Stage, setStage } from './stage.ts'

const tenants = 2_000

describe('a fan-out to 2,000 tenants', { timeout: 120_000 }, () => {
  test('killed in its first batch, and again in its second: others finish it', async (context) => {
    const stage = await setStage(context, { tenants: 0 })
    const cron = await prepare(stage)

    await killAtBatch(stage, cron, 1)
    expect(await count(stage)).toEqual({ runs: 0, tenants: 0 })
    await killAtBatch(stage, cron, 2)
    expect(await count(stage)).toEqual({ runs: 1_000, tenants: 1_000 })

    const workers = [
      stage.spawn('ticker.ts', { url: stage.url, cron }),
      stage.spawn('ticker.ts', { url: stage.url, cron }),
    ]
    await Promise.all(workers.map((worker) => worker.says('ready')))
    await untilFinished(stage)
    expect(await count(stage)).toEqual({ runs: tenants, tenants })
  })

  test('by three processes at once, one of which is killed', async (context) => {
    const stage = await setStage(context, { tenants: 0 })
    const cron = await prepare(stage)
    const start = () => stage.spawn('ticker.ts', { url: stage.url, cron })
    const workers = Array.from({ length: 3 }, start)
    await workers[0]!.says('ready')
    await workers[0]!.kill()
    await untilFinished(stage)
    expect(await count(stage)).toEqual({ runs: tenants, tenants })
  })
})

/** Tenants that are rows, and a schedule that has come five minutes ago. Answers its cron. */
async function prepare(stage: Stage): Promise<string> {
  await stage.query(
    `INSERT INTO public.organizations (slug, name, status, active_since)
     SELECT 'many_' || number, 'x', 'active', now() - interval '1 hour' FROM generate_series(1, $1::int) AS number`,
    [tenants],
  )
  const [row] = await stage.query<{ cron: string }>(
    `SELECT to_char(now() AT TIME ZONE 'UTC' - interval '5 minutes', 'FMMI FMHH24 FMDD FMMM *') AS cron`,
  )
  const { cron } = row!
  await stage.query(
    `INSERT INTO public.platform_schedule_progress (task_id, key, cron, timezone, planned_until)
     VALUES ('chaos/ticked', 'default', $1, 'UTC', now() - interval '30 minutes')`,
    [cron],
  )
  return cron
}

async function killAtBatch(stage: Stage, cron: string, holdAt: number): Promise<void> {
  const child: Child = stage.spawn('ticker.ts', { url: stage.url, cron, holdAt })
  await child.says('holding')
  await child.kill()
  // Postgres has to notice that its client is gone, before others find the tick free.
  await stage.until('the transaction is rolled back', 30_000, async () => {
    const rows = await stage.query(
      `SELECT FROM public.platform_schedule_ticks WHERE finished_at IS NULL FOR UPDATE SKIP LOCKED`,
    )
    return rows.length === 1
  })
}

async function untilFinished(stage: Stage): Promise<void> {
  await stage.until('the tick is handed out', 60_000, async () => {
    const [tick] = await stage.query<{ finished: boolean }>(
      'SELECT bool_and(finished_at IS NOT NULL) AS finished FROM public.platform_schedule_ticks',
    )
    return tick!.finished === true
  })
}

async function count(stage: Stage): Promise<{ runs: number; tenants: number }> {
  const [row] = await stage.query<{ runs: number; tenants: number }>(
    `SELECT count(*)::int AS runs, count(DISTINCT group_id)::int AS tenants
     FROM pgboss.job WHERE name = 'chaos/ticked'`,
  )
  return row!
}
