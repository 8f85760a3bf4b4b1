/** Runs that kill their process, results that cannot be stored, rows that were changed by hand. */
import { describe, expect, test } from 'vitest'
import { poisonedErrors, poisonedOutputs } from '../fixtures/chaos/poison.ts'
import { deadly, poisoned, work } from '../fixtures/chaos/tasks.ts'
import { countByRun, setStage } from './stage.ts'

describe.concurrent('poison', () => {
  test('that kills its process fails after its attempts, and the runs beside it complete', async (context) => {
    const stage = await setStage(context, { tenants: 3 })
    const deaths = [
      await stage.trigger(deadly, { how: 'exit' }),
      await stage.trigger(deadly, { how: 'abort' }),
    ]
    const others = await stage.triggerMany(work, 60, () => ({ ms: 20 }))
    let workers = 0
    for (let ended = false; !ended; ) {
      workers += 1
      const worker = await stage.worker({ concurrency: 5 })
      ended = await Promise.race([
        stage.untilAllEnded(30_000).then(() => true),
        worker.ended.then(() => false),
      ])
      if (!ended) await stage.ageHeartbeats()
    }
    console.log(`deadly: ${workers} workers`)
    expect(workers).toBeLessThanOrEqual(5)
    for (const runId of deaths) {
      expect(await stage.platform.runs.get(runId)).toMatchObject({
        state: 'failed',
        attempt: 2,
        error: { code: 'RUN_LOST' },
        attempts: [
          { attempt: 1, result: 'lost' },
          { attempt: 2, result: 'lost' },
        ],
      })
    }
    const starts = countByRun(await stage.executions(), 'start')
    expect(deaths.map((runId) => starts.get(runId))).toEqual([2, 2])
    expect(await stage.states()).toEqual({ completed: others.length, failed: 2 })
  })

  test('in what a run answers or throws is settled', async (context) => {
    const stage = await setStage(context)
    const outputs = Object.keys(poisonedOutputs)
    const errors = Object.keys(poisonedErrors)
    const answered = await stage.triggerMany(poisoned, outputs.length, (index) => ({
      output: outputs[index],
    }))
    const thrown = await stage.triggerMany(poisoned, errors.length, (index) => ({ error: errors[index] }))
    const worker = await stage.worker()
    await stage.untilAllEnded(20_000)
    for (const [index, runId] of answered.entries()) {
      const { state, error } = await stage.platform.runs.get(runId)
      expect([outputs[index], state, error]).toEqual([outputs[index], 'completed', null])
    }
    for (const [index, runId] of thrown.entries()) {
      const { state, error } = await stage.platform.runs.get(runId)
      expect([errors[index], state]).toEqual([errors[index], 'failed'])
      expect(error?.message).toEqual(expect.any(String))
    }
    worker.signal('SIGTERM')
    expect(await worker.ended).toBe(0)
  })

  test('in the queue fails with a clear error, and neither workers nor readers mind', async (context) => {
    const stage = await setStage(context)
    const tampered = [
      "'{}'",
      `'"x"'`,
      "'null'",
      'NULL',
      "'[]'",
      "'7'",
      `'{"payload": null, "tags": 5}'`,
      `'{"expiresAt": {}}'`,
    ]
    const runIds = await stage.triggerMany(work, tampered.length)
    for (const [index, data] of tampered.entries())
      await stage.query(`UPDATE pgboss.job SET data = ${data} WHERE id = $1`, [runIds[index]])
    const intact = await stage.triggerMany(work, 20)
    expect((await stage.platform.runs.list()).runs).toHaveLength(tampered.length + 20)
    const worker = await stage.worker()
    // One waiting caller must not keep the others from their answers.
    const waited = await Promise.all(
      [...runIds, ...intact].map((runId) => stage.platform.runs.wait(runId, { timeout: 20_000 })),
    )
    for (const run of waited.slice(0, tampered.length)) {
      expect(run).toMatchObject({ state: 'failed', attempt: 1, error: { code: 'PAYLOAD_INVALID' } })
    }
    expect(await stage.states()).toEqual({ completed: 20, failed: tampered.length })
    worker.signal('SIGTERM')
    expect(await worker.ended).toBe(0)
  })

  test('in the queue of a worker that stops is handed back like anything else', async (context) => {
    const stage = await setStage(context)
    const runIds = await stage.triggerMany(work, 30, () => ({ ms: 60_000 }))
    const worker = await stage.worker({ stopTimeoutMs: 0 })
    await worker.says('waiting', 20)
    await stage.query('UPDATE pgboss.job SET data = \'"x"\' WHERE id = ANY($1)', [runIds])
    worker.signal('SIGTERM')
    expect(await worker.ended).toBe(0)
    expect(await stage.states()).toEqual({ created: 30 })
  })

  test('that Postgres refuses to settle counts as lost, and keeps nobody else', async (context) => {
    const stage = await setStage(context)
    const [refused, ...others] = await stage.triggerMany(work, 50)
    // Raises what an unstorable row would: a data exception, for this run alone.
    await stage.query(`
      CREATE FUNCTION public.chaos_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'refused' USING ERRCODE = '22000';
      END $$`)
    await stage.query(`
      CREATE TRIGGER chaos_refuse BEFORE INSERT ON public.platform_runs FOR EACH ROW
      WHEN (NEW.id = '${refused}' AND NEW.state = 'completed') EXECUTE FUNCTION public.chaos_refuse()`)
    const worker = await stage.worker()
    await Promise.all(others.map((runId) => stage.platform.runs.wait(runId, { timeout: 20_000 })))
    expect(await stage.active()).toEqual([refused])
    await stage.query('DROP TRIGGER chaos_refuse ON public.platform_runs')
    await stage.ageHeartbeats()
    await stage.untilAllEnded(20_000)
    expect(await stage.platform.runs.get(refused!)).toMatchObject({ state: 'completed', attempt: 2 })
    worker.signal('SIGTERM')
    expect(await worker.ended).toBe(0)
  })
}, 90_000)
