/** Connections that break, and answers that are lost with them: nothing is lost, nothing is there twice. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { RunRequest } from '../../src/task/run.ts'
import { work } from '../fixtures/chaos/tasks.ts'
import { countByRun, everyRun, repeated, type Stage, setStage } from './stage.ts'
import { Wire } from './wire.ts'

/** As the connections of one process are called, so that they can be told from those of the test. */
function named(url: string, name: string): string {
  const own = new URL(url)
  own.searchParams.set('application_name', name)
  return own.href
}

/** Answers how many connections were terminated. */
async function terminate(stage: Stage, name: string): Promise<number> {
  const rows = await stage.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1',
    [name],
  )
  return rows.length
}

describe.concurrent('connections', () => {
  test('of a worker that are all terminated, five times under load, cost no run', async (context) => {
    const stage = await setStage(context, { tenants: 3 })
    const runIds = await stage.triggerMany(work, 800, () => ({ ms: 100 }))
    const worker = await stage.worker({ url: named(stage.url, 'cut'), concurrency: 20 })
    for (let times = 1; times <= 5; times += 1) {
      await worker.says('waiting', times * 100)
      expect(await terminate(stage, 'cut')).toBeGreaterThan(3)
    }
    const cutAt = performance.now()
    await stage.untilAllEnded()
    console.log(
      `terminated 5 times: all completed ${Math.round(performance.now() - cutAt)} ms after the last`,
    )
    expect(await stage.states()).toEqual({ completed: 800 })
    expect(worker.living).toBe(true)

    const executions = await stage.executions()
    expect(new Set(countByRun(executions, 'end').keys())).toEqual(new Set(runIds))
    const attempts = await stage.query<{ result: string; code: string; message: string; runs: number }>(`
      SELECT result, error->>'code' AS code, error->>'message' AS message, count(*)::int AS runs
      FROM public.platform_attempts GROUP BY 1, 2, 3`)
    console.log('terminated 5 times: attempts spent', JSON.stringify(attempts))
    // Whatever ran more than once has an attempt that says why.
    expect(repeated(countByRun(executions, 'start')).length).toBeLessThanOrEqual(
      attempts.reduce((sum, { runs }) => sum + runs, 0),
    )
    worker.signal('SIGTERM')
    expect(await worker.ended).toBe(0)
  })

  test('of a process that triggers, terminated with 500 triggers in flight, double none', async (context) => {
    const stage = await setStage(context, {
      tenants: 3,
      through: async (url) => named(url, 'cut'),
    })
    const other = await setStage(context, { url: stage.url, joins: true })
    const acknowledged: string[] = []
    let cut = 0
    for (let round = 1; round <= 5; round += 1) {
      let inFlight = true
      const triggers = Array.from({ length: 500 }, async (_, index) => {
        if (index % 2 === 1) await sleep(index / 10)
        const options = index % 5 === 0 ? { idempotencyKey: `${round} ${index}` } : {}
        acknowledged.push(await stage.trigger(work, {}, options))
      })
      const cutting = (async () => {
        for (let times = 0; times < 6 && inFlight; times += 1) {
          cut += await terminate(other, 'cut')
          await sleep(5)
        }
      })()
      await Promise.all(triggers)
      inFlight = false
      await cutting
    }
    expect(cut).toBeGreaterThan(10)
    const queued = (await other.query<{ id: string }>(`SELECT id FROM ${everyRun}`)).map(({ id }) => id)
    expect(acknowledged).toHaveLength(2_500)
    expect(queued.toSorted()).toEqual(acknowledged.toSorted())
  })

  test('that lose the answers of inserts queue every run once', async (context) => {
    const { stage, wire } = await setWiredStage(context)
    const lost = wire.lose('INSERT INTO pgboss.job', 4)
    const triggered = await Promise.all(Array.from({ length: 300 }, () => stage.trigger(work, {})))
    for (let left = 0; left < 10; left += 1) triggered.push(await stage.trigger(work, {}))
    await lost
    const commits = wire.lose('COMMIT', 3)
    for (let key = 0; key < 5; key += 1)
      triggered.push(await stage.trigger(work, {}, { idempotencyKey: `key ${key}` }))
    await commits
    const queued = (await stage.query<{ id: string }>(`SELECT id FROM ${everyRun}`)).map(({ id }) => id)
    expect(queued.toSorted()).toEqual(triggered.toSorted())
  })

  test('that lose an insert do not queue again what had arrived, run and ended before', async (context) => {
    const { stage, wire } = await setWiredStage(context)
    const { engine } = await stage.platform.ready()
    const request: RunRequest = {
      ...{ id: randomUUID(), taskId: work.id, tenantId: stage.tenant, input: { tenantId: stage.tenant } },
      ...{ parentRunId: null, triggeredBy: { kind: 'app', ref: null }, replayOf: null, idempotency: null },
      ...{ delayMs: 0, runAt: null, priority: 0, ttlMs: null, tags: [], maxAttempts: 1 },
    }
    await engine.enqueue([request], null)
    await engine.cancel(request.id)
    const lost = wire.loseUnsent('INSERT INTO pgboss.job', 1)
    expect(await engine.enqueue([request], null)).toEqual([{ id: request.id }])
    await lost
    expect(await stage.states()).toEqual({ cancelled: 1 })
  })

  test('that cannot be made refuse a trigger with an error that says so', async (context) => {
    const { stage, wire } = await setWiredStage(context)
    await stage.trigger(work, {})
    wire.close()
    const triggers = await Promise.allSettled([stage.trigger(work, {}), stage.trigger(work, {})])
    for (const refused of triggers)
      expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'ECONNREFUSED' } })
    const direct = await setStage(context, { url: stage.url, joins: true })
    expect(await direct.states()).toEqual({ created: 1 })
  })

  test('that lose settlements, or their answers, run nothing again', async (context) => {
    const { stage, wire, url } = await setWiredStage(context)
    await stage.triggerMany(work, 200, () => ({ ms: 50 }))
    const lost = wire.lose('answer.credentials', 2)
    const worker = await stage.worker({ url, concurrency: 5 })
    await lost
    await wire.loseUnsent('answer.credentials', 2)
    await stage.untilAllEnded(20_000)
    worker.signal('SIGTERM')
    expect(await worker.ended).toBe(0)
    expect(await stage.states()).toEqual({ completed: 200 })
    const executions = await stage.executions()
    expect(countByRun(executions, 'start').size).toBe(200)
    expect(repeated(countByRun(executions, 'start'))).toEqual([])
  })

  test('that lose the answers of claims cost the silence of a heartbeat, and no run', async (context) => {
    const { stage, wire, url } = await setWiredStage(context)
    await stage.triggerMany(work, 200)
    const lost = wire.lose('AS lapsed', 2)
    await stage.worker({ url })
    await lost
    await stage.ageHeartbeats()
    await stage.untilAllEnded(30_000)
    expect(await stage.states()).toEqual({ completed: 200 })
    const executions = await stage.executions()
    expect(countByRun(executions, 'start').size).toBe(200)
    expect(repeated(countByRun(executions, 'start'))).toEqual([])
  })

  test('that are gone for good do not keep a worker from ending', async (context) => {
    const { stage, wire, url } = await setWiredStage(context)
    await stage.triggerMany(work, 20, () => ({ ms: 60_000 }))
    const worker = await stage.worker({ url, stopTimeoutMs: 500 })
    await worker.says('waiting', 20)
    wire.close()
    worker.signal('SIGTERM')
    const code = await Promise.race([worker.ended, sleep(25_000, 'goes on')])
    expect(code).toBe(0)
    const direct = await setStage(context, { url: stage.url, joins: true })
    await direct.ageHeartbeats()
    await direct.worker({ hurry: true })
    await direct.untilAllEnded()
    expect(await direct.states()).toEqual({ completed: 20 })
  })

  test('of three processes that race for the same idempotency keys make one run for each', async (context) => {
    const stage = await setStage(context)
    const keys = Array.from({ length: 25 }, (_, index) => `order ${index}`)
    const racing = [1, 2, 3].map(() =>
      stage.spawn('trigger.ts', { url: stage.url, tenantId: stage.tenant, keys, times: 4 }),
    )
    await Promise.all(racing.map((child) => child.says('ready')))
    for (const child of racing) child.process.stdin.write('go\n')
    const said = await Promise.all(racing.map((child) => child.says('triggered')))
    const answers = said.flatMap(([line]) => line!.answers as { key: string; id: string }[])
    expect(answers).toHaveLength(300)
    const runOf = new Map(answers.map(({ key, id }) => [key, id]))
    expect(answers.filter(({ key, id }) => runOf.get(key) !== id)).toEqual([])
    const queued = (await stage.query<{ id: string }>(`SELECT id FROM ${everyRun}`)).map(({ id }) => id)
    expect(queued.toSorted()).toEqual([...runOf.values()].toSorted())
    expect(await Promise.all(racing.map(({ ended }) => ended))).toEqual([0, 0, 0])
  })
}, 90_000)

/** The platform of this process and, with `url`, workers go through the wire. */
async function setWiredStage(context: Parameters<typeof setStage>[0]) {
  const made: { wire?: Wire; url?: string } = {}
  const stage = await setStage(context, {
    through: async (url) => {
      made.wire = new Wire(url)
      made.url = await made.wire.open(context)
      return made.url
    },
  })
  return { stage, wire: made.wire!, url: made.url! }
}
