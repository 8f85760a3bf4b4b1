/** Workers that are killed, stopped, frozen: no run is lost, and only what was in flight runs twice. */
import { describe, expect, test } from 'vitest'
import { Boss } from '../../src/engines/pg-boss/boss.ts'
import { limited, work } from '../fixtures/chaos/tasks.ts'
import { countByRun, repeated, setStage } from './stage.ts'

describe.concurrent('a worker', () => {
  test('killed with -9 amid 200 of 1,000 runs: another completes all of them', async (context) => {
    const stage = await setStage(context, { tenants: 5 })
    const runIds = await stage.triggerMany(work, 1_000)
    const killed = await stage.worker({ concurrency: 200, holdAfter: 300 })
    await killed.says('holding', 200)
    await killed.kill()
    const inFlight = new Set(await stage.active())
    expect(inFlight.size).toBeGreaterThanOrEqual(200)

    const startedAt = performance.now()
    await stage.worker({ concurrency: 200 })
    await stage.untilAllEnded(60_000)
    console.log(
      `kill -9: all completed ${Math.round(performance.now() - startedAt)} ms after the new worker's start`,
    )

    expect(await stage.states()).toEqual({ completed: 1_000 })
    const executions = await stage.executions()
    const starts = countByRun(executions, 'start')
    expect(new Set(starts.keys())).toEqual(new Set(runIds))
    const twice = repeated(starts)
    expect(twice.length).toBeGreaterThanOrEqual(200)
    expect(twice.filter((runId) => !inFlight.has(runId))).toEqual([])
    expect(Math.max(...starts.values())).toBe(2)

    const attempts = await stage.query<{ run_id: string; attempt: number; result: string }>(
      'SELECT run_id, attempt, result FROM public.platform_attempts',
    )
    expect(new Set(attempts.map(({ run_id }) => run_id))).toEqual(inFlight)
    expect(attempts.every(({ attempt, result }) => attempt === 1 && result === 'lost')).toBe(true)
    const run = await stage.platform.runs.get(twice[0]!)
    expect(run).toMatchObject({ state: 'completed', attempt: 2, error: null, output: { attempt: 2 } })
    expect(run.attempts).toMatchObject([{ attempt: 1, result: 'lost', error: { code: 'RUN_LOST' } }])
  })

  test('stopped under load finishes what it can, hands back the rest, and spends no attempt', async (context) => {
    const stage = await setStage(context, { tenants: 3 })
    // Every tenth takes a minute, and one does not heed its signal; the others are quick.
    const runIds = await stage.triggerMany(work, 400, (index) => {
      if (index === 15) return { ms: 60_000, whenAborted: 'ignore' }
      return { ms: index % 10 === 0 ? 60_000 : 150 }
    })
    const stopped = await stage.worker({ concurrency: 50, stopTimeoutMs: 1_000 })
    await stopped.says('waiting', 60)
    stopped.signal('SIGTERM')
    const stoppedAt = performance.now()
    expect(await stopped.ended).toBe(0)
    const tookMs = performance.now() - stoppedAt
    console.log(`stop: ended after ${Math.round(tookMs)} ms`)
    expect(tookMs).toBeLessThan(1_000 + 5_000 + 4_000)

    const before = await stage.executions()
    const begun = countByRun(before, 'start')
    const ended = countByRun(before, 'end')
    const handedBack = new Set([...begun.keys()].filter((runId) => !ended.has(runId)))
    expect(handedBack.size).toBeGreaterThan(0)
    expect(await stage.states()).toEqual({ created: 400 - ended.size, completed: ended.size })
    const [one] = handedBack
    expect(await stage.platform.runs.get(one!)).toMatchObject({ state: 'queued', attempt: 0, attempts: [] })

    await stage.worker({ concurrency: 50, hurry: true })
    await stage.untilAllEnded()
    expect(await stage.states()).toEqual({ completed: 400 })
    const after = await stage.executions()
    const starts = countByRun(after, 'start')
    expect(new Set(starts.keys())).toEqual(new Set(runIds))
    expect(new Set(repeated(starts))).toEqual(handedBack)
    expect(repeated(countByRun(after, 'end'))).toEqual([])
    expect(after.every(({ attempt }) => attempt === 1)).toBe(true)
    expect(await stage.query('SELECT FROM public.platform_attempts')).toEqual([])
  })

  test('frozen past its heartbeat loses its runs to another, and its late answers change nothing', async (context) => {
    const stage = await setStage(context)
    const runIds = await stage.triggerMany(work, 10, () => ({ ms: 120_000, whenAborted: 'answer' }))
    const frozen = await stage.worker({ concurrency: 10 })
    await frozen.says('waiting', 10)
    frozen.signal('SIGSTOP')
    const frozenAt = performance.now()
    const other = await stage.worker({ concurrency: 10, hurry: true })
    await stage.untilAllEnded(30_000)
    console.log(`frozen: taken over and completed ${Math.round(performance.now() - frozenAt)} ms after it`)
    expect(performance.now() - frozenAt).toBeGreaterThan(7_000)

    frozen.signal('SIGCONT')
    const aborted = await frozen.says('aborted', 10)
    expect(aborted.every(({ reason, sql }) => reason === 'RunLostError' && sql === 'RunLostError')).toBe(true)
    other.signal('SIGTERM')
    expect(await other.ended).toBe(0)

    // It works on, and by then its late answers have been sent.
    const later = await stage.triggerMany(work, 30)
    await stage.untilAllEnded(10_000)
    frozen.signal('SIGTERM')
    expect(await frozen.ended).toBe(0)
    for (const runId of runIds) {
      expect(await stage.platform.runs.get(runId)).toMatchObject({
        state: 'completed',
        attempt: 2,
        output: { attempt: 2, worker: other.pid },
        attempts: [{ attempt: 1, result: 'lost' }],
      })
    }
    const ends = (await stage.executions()).filter(({ kind }) => kind === 'end')
    expect(ends.filter(({ worker }) => worker === other.pid)).toHaveLength(10)
    expect(new Set(ends.filter(({ worker }) => worker === frozen.pid).map(({ runId }) => runId))).toEqual(
      new Set(later),
    )
  })

  test('frozen while it is alone keeps its runs', async (context) => {
    const stage = await setStage(context)
    // Before it starts, for it must not be frozen for so long that its heartbeat is due as well.
    await stage.untilSilenceCounts()
    await stage.triggerMany(work, 10, () => ({ ms: 7_000 }))
    const frozen = await stage.worker()
    await frozen.says('waiting', 10)
    // Right after a heartbeat, so that it wakes with its recovery due before the next.
    await stage.until('a heartbeat', 10_000, async () => {
      const [row] = await stage.query<{ beats: number }>(
        "SELECT count(*)::int AS beats FROM pgboss.job WHERE heartbeat_on > started_on + interval '1 second'",
      )
      return row!.beats === 10
    })
    frozen.signal('SIGSTOP')
    await stage.ageHeartbeats()
    frozen.signal('SIGCONT')
    await stage.untilAllEnded(20_000)
    expect(await stage.states()).toEqual({ completed: 10 })
    const starts = countByRun(await stage.executions(), 'start')
    expect(starts.size).toBe(10)
    expect(repeated(starts)).toEqual([])
  })

  test('that gets a run back which it had lost ends the older attempt and keeps the newer', async (context) => {
    const stage = await setStage(context)
    const [runId] = await stage.triggerMany(work, 1, () => ({ ms: 4_000, whenAborted: 'answer' }))
    const worker = await stage.worker()
    await worker.says('waiting')
    await stage.query(
      "UPDATE pgboss.job SET state = 'retry', start_after = now(), heartbeat_on = NULL WHERE state = 'active'",
    )
    await worker.says('waiting', 2)
    expect(await worker.says('aborted')).toMatchObject([{ reason: 'RunLostError', sql: 'RunLostError' }])
    // A stop waits for the newer one.
    worker.signal('SIGTERM')
    expect(await worker.ended).toBe(0)
    expect(await stage.platform.runs.get(runId!)).toMatchObject({
      state: 'completed',
      attempt: 2,
      output: { attempt: 2 },
    })
  })

  test('that is dead is found by us, who record the attempt, and not by the maintenance of pg-boss', async (context) => {
    const stage = await setStage(context)
    const [runId] = await stage.triggerMany(work, 1)
    const dead = await stage.worker({ holdAfter: 0 })
    await dead.says('holding')
    await dead.kill()
    await stage.ageHeartbeats()
    const { database } = await stage.platform.ready()
    const boss = new Boss({ database, migrate: false, logger: stage.platform.logger })
    await boss.start()
    await boss.supervise()
    await boss.stop()
    expect(await stage.platform.runs.get(runId!)).toMatchObject({ state: 'running', attempt: 1 })
    await stage.worker()
    await stage.untilAllEnded()
    expect(await stage.platform.runs.get(runId!)).toMatchObject({
      state: 'completed',
      attempt: 2,
      attempts: [{ attempt: 1, result: 'lost' }],
    })
  })

  test('and another never run more of a tenant at once than its limit', async (context) => {
    const stage = await setStage(context, { tenants: 10 })
    // Neither has room for all twenty that may run.
    const workers = await Promise.all([stage.worker({ concurrency: 12 }), stage.worker({ concurrency: 12 })])
    await stage.triggerMany(limited, 300)
    await stage.untilAllEnded()
    expect(await stage.states()).toEqual({ completed: 300 })
    const rows = await stage.query<{ at_once: number; worker: number }>(
      "SELECT (output->>'atOnce')::int AS at_once, (output->>'worker')::int AS worker FROM public.platform_runs",
    )
    expect(Math.max(...rows.map((row) => row.at_once))).toBe(2)
    expect(new Set(rows.map(({ worker }) => worker))).toEqual(new Set(workers.map(({ pid }) => pid)))
  })
}, 90_000)
