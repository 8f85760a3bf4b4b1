/** Postgres itself goes away under load and comes back: what was acknowledged is done, and everybody recovers alone. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, type TestContext, test } from 'vitest'
import { linesChannel } from '../../src/runs/journal/store-lines.ts'
import { work } from '../fixtures/chaos/tasks.ts'
import { Cluster } from './cluster.ts'
import { countByRun, everyRun, type Stage, setStage } from './stage.ts'

const downMs = 3_000

describe.concurrent('Postgres under load', () => {
  test('killed with -9', async (context) => {
    await playOutage(context, 'kill -9', async (cluster) => cluster.kill())
  })

  test('stopped fast', async (context) => {
    await playOutage(context, 'fast stop', (cluster) => cluster.stop())
  })
}, 120_000)

async function playOutage(
  context: TestContext,
  how: string,
  goAway: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.make(context)
  const stage = await setStage(context, { url: cluster.url, tenants: 2 })
  const workers = await Promise.all([stage.worker({ concurrency: 20 }), stage.worker({ concurrency: 20 })])
  const load = putUnderLoad(stage)
  context.onTestFinished(() => load.stop())
  await load.acknowledges(200)
  await goAway(cluster)
  await sleep(downMs)
  await cluster.start()
  const backAt = performance.now()
  const since = () => Math.round(performance.now() - backAt)

  await load.acknowledges(load.acknowledged.length + 200)
  const triggersAfter = since()
  await stage.until('both workers listen again', 30_000, async () => {
    const listening = await stage.query(
      "SELECT FROM pg_stat_activity WHERE application_name = 'cgk listen' AND query = $1",
      // The last that a listener says: it hears all its channels.
      [`LISTEN "${linesChannel}"`],
    )
    return listening.length === workers.length
  })
  const listenAfter = since()
  await load.stop()
  await stage.untilAllEnded(60_000)
  console.log(
    `${how}: 200 triggers after ${triggersAfter} ms, listening after ${listenAfter} ms, all ${load.acknowledged.length} acknowledged runs completed after ${since()} ms; ${load.errors.length} triggers refused`,
  )

  const completed = await stage.query<{ id: string }>(`SELECT id FROM ${everyRun} WHERE state = 'completed'`)
  const ids = new Set(completed.map(({ id }) => id))
  expect(load.acknowledged.length).toBeGreaterThan(400)
  expect(load.acknowledged.filter((id) => !ids.has(id))).toEqual([])
  expect(Object.keys(await stage.states())).toEqual(['completed'])
  const ends = countByRun(await stage.executions(), 'end')
  expect(load.acknowledged.filter((id) => !ends.has(id))).toEqual([])
  for (const error of load.errors) expect(clear(error), String(error)).toBe(true)
  console.log(`${how}:`, JSON.stringify(await attemptsSpent(stage)), JSON.stringify(kindsOf(load.errors)))

  const delaysMs = await startDelays(stage, 15)
  console.log(`${how}: afterwards a run starts ${Math.round(delaysMs[7]!)} ms after it is queued (median)`)
  // Polling alone would take half a second.
  expect(delaysMs[7]).toBeLessThan(100)
  for (const worker of workers) worker.signal('SIGTERM')
  expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual([0, 0])
}

interface Load {
  acknowledged: string[]
  errors: unknown[]
  acknowledges(count: number): Promise<void>
  stop(): Promise<void>
}

/** Eight callers that trigger one run after the other. */
function putUnderLoad(stage: Stage): Load {
  const acknowledged: string[] = []
  const errors: unknown[] = []
  let stopped = false
  const caller = async () => {
    while (!stopped) {
      await stage.trigger(work, { ms: 20 }).then(
        (id) => acknowledged.push(id),
        (error: unknown) => errors.push(error),
      )
      await sleep(15)
    }
  }
  const callers = Promise.all(Array.from({ length: 8 }, caller))
  return {
    acknowledged,
    errors,
    acknowledges: (count) =>
      stage.until(`${count} acknowledged`, 30_000, async () => acknowledged.length >= count),
    stop: async () => {
      stopped = true
      await callers
    },
  }
}

/** A caller can tell from it that the database was away. */
function clear(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return (
    /^(57P0[123]|08...|ECONNREFUSED|ECONNRESET|EPIPE)$/.test(code) ||
    /^Connection terminated/.test(error.message)
  )
}

function kindsOf(errors: readonly unknown[]): Record<string, number> {
  const kinds: Record<string, number> = {}
  for (const error of errors) kinds[String(error)] = (kinds[String(error)] ?? 0) + 1
  return kinds
}

async function attemptsSpent(stage: Stage): Promise<unknown> {
  return await stage.query(`
    SELECT result, error->>'message' AS message, count(*)::int AS runs
    FROM public.platform_attempts GROUP BY 1, 2 ORDER BY 3 DESC`)
}

/** From queued to started, by the database's clock, shortest first. */
async function startDelays(stage: Stage, count: number): Promise<number[]> {
  const delaysMs: number[] = []
  for (let times = 0; times < count; times += 1) {
    const runId = await stage.trigger(work, {})
    await stage.platform.runs.wait(runId)
    const [row] = await stage.query<{ ms: number }>(
      `SELECT (extract(epoch FROM min(event.at) - run.created_on) * 1000)::float8 AS ms
       FROM ${everyRun} JOIN public.chaos_events AS event ON event.run_id = run.id
       WHERE run.id = $1 GROUP BY run.created_on`,
      [runId],
    )
    delaysMs.push(row!.ms)
  }
  return delaysMs.toSorted((a, b) => a - b)
}
