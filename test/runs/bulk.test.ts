/** Replaying and cancelling many runs. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import {
  bulkActions,
  deleteTenant,
  resumeTenant,
  runs,
  startWorker,
  suspendTenant,
  withTenant,
} from '../../src/default-platform.ts'
import { PgBossEngine } from '../../src/engines/pg-boss/engine.ts'
import {
  AbortTaskError,
  BulkActionStateError,
  InvalidBulkActionError,
  InvalidRunFilterError,
  UnknownBulkActionError,
  UnknownRunError,
} from '../../src/errors.ts'
import { CompletedLaterCount } from '../../src/runs/bulk/completed-later.ts'
import type { BulkDependencies } from '../../src/runs/bulk/deps.ts'
import { deleteOldActions } from '../../src/runs/bulk/retention.ts'
import { takeStep } from '../../src/runs/bulk/step.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

let broken = true
const payload = tenantPayload({ n: z.number(), note: z.string().default('none') })
const flaky = defineTask({
  id: 'bulk/flaky',
  payload,
  run: ({ n, note }) => {
    if (broken) throw new AbortTaskError('broken')
    return { n, note }
  },
})
let pickySchemaThrows = false
const picky = defineTask({
  id: 'bulk/picky',
  payload: tenantPayload({ word: z.string() }).refine(({ word }) => {
    if (pickySchemaThrows) throw new RangeError(`cannot look at ${word}`)
    return true
  }),
  run: () => null,
})
let act: (signal: AbortSignal) => unknown = () => null
const acting = defineTask({
  id: 'bulk/acting',
  payload: tenantPayload({}),
  run: (_, { signal }) => act(signal),
})

let kit: TestPlatform
beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [flaky, acting, picky] })
})
afterAll(() => kit.close())

const by = { kind: 'user', id: 'u1', name: 'ops@x.test' } as const
const reason = 'The provider is back'

/** Runs that have failed, `count` of them. Answers their ids, in the order of n. */
async function failures(tenantId: string, count: number): Promise<string[]> {
  broken = true
  const items = Array.from({ length: count }, (_, n) => ({ payload: { tenantId, n } }))
  const handles = await flaky.batchTrigger(items)
  await kit.drain()
  broken = false
  return handles.map(({ id }) => id)
}

async function step(): Promise<boolean> {
  const { database, engine } = await kit.platform.ready()
  return await takeStep({ database, engine, dispatcher: kit.platform.dispatcher })
}

async function query<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
  return (await (await kit.platform.ready()).database.query<Row>(text, values)).rows
}

/** The next step may be taken at once. */
async function nextStepIsDue(): Promise<void> {
  await query('UPDATE public.platform_bulk_actions SET next_step_at = now() WHERE next_step_at IS NOT NULL')
}

async function allSteps(): Promise<void> {
  while (await step()) await nextStepIsDue()
}

describe('a preview', () => {
  test('says how many, whose and of which tasks, and does nothing', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    await failures(one, 3)
    await failures(two, 1)
    const preview = await bulkActions.previewReplay(
      { filter: { taskId: flaky.id, states: ['failed'] } },
      { by, within: [one, two] },
    )
    expect(preview).toMatchObject({
      kind: 'replay',
      state: 'previewed',
      total: 4,
      counts: { waiting: 4, done: 0, refused: 0, skipped: 0 },
      completedLater: 0,
      completedLaterOf: 4,
      tenants: [
        { tenantId: one, runs: 3 },
        { tenantId: two, runs: 1 },
      ],
      tasks: [{ taskId: flaky.id, runs: 4 }],
      refused: [],
      createdBy: by,
      confirmedAt: null,
    })
    expect([...preview.tenantIds].sort()).toEqual([one, two].sort())
    expect(await step()).toBe(false)
    expect((await runs.list({ tenantId: one })).runs).toHaveLength(3)
  })

  test('is of the runs as they were: what fails later is not among them', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 2)
    const { id } = await bulkActions.previewReplay({ filter: { tenantId } })
    await failures(tenantId, 2)
    await bulkActions.confirm(id, { reason, by })
    await allSteps()
    expect(await bulkActions.get(id)).toMatchObject({ total: 2, state: 'completed' })
    expect((await runs.list({ tenantId })).runs).toHaveLength(6)
  })

  test('counts what has been made good by a later run: a replay, or one of the same payload', async () => {
    const tenantId = await kit.tenant()
    const [first] = await failures(tenantId, 3)
    await runs.replay(first!)
    await flaky.trigger({ tenantId, n: 1 })
    await flaky.trigger({ tenantId, n: 7 })
    await kit.drain()
    const preview = await bulkActions.previewReplay({ filter: { tenantId, states: ['failed'] } })
    expect(preview).toMatchObject({ total: 3, completedLater: 2 })
  })

  test('is quick where a busy task has completed a hundred thousand runs since', async () => {
    const tenantId = await kit.tenant()
    const ids = await failures(tenantId, 300)
    await query(
      `INSERT INTO public.platform_runs
         (id, task_id, tenant_id, state, payload, priority, attempt, max_attempts, triggered_by, created_at, run_at, engine)
       SELECT gen_random_uuid(), $1, $2, 'completed', jsonb_build_object('n', 1000 + n % 500, 'tenantId', $2::text), 0, 1, 1,
         (ARRAY['app', 'schedule', 'replay', 'run'])[1 + n % 4], at, at, 'pg-boss'
       FROM generate_series(1, 100000) AS n, LATERAL (SELECT now() + n * interval '1 ms') AS times (at)`,
      [flaky.id, tenantId],
    )
    // The first ten are of payloads that completed later, the others of none.
    await query(
      `UPDATE public.platform_runs SET payload = jsonb_set(payload, '{n}', to_jsonb((payload->>'n')::int + 1000))
       WHERE id = ANY($1)`,
      [ids.slice(0, 10)],
    )
    const from = performance.now()
    const preview = await bulkActions.previewReplay({ runIds: ids })
    expect(performance.now() - from).toBeLessThan(2_500)
    expect(preview).toMatchObject({ total: 300, completedLater: 10, completedLaterOf: 300 })
  })

  test('does not wait for what would take too long to tell, and says so', async () => {
    const { database } = await kit.platform.ready()
    const tenantId = await kit.tenant()
    const [id] = await failures(tenantId, 1)
    const old = await runs.get(id!)
    const locked = Promise.withResolvers<void>()
    const looked = Promise.withResolvers<void>()
    const locking = database.transaction(async () => {
      await database.sql`LOCK TABLE public.platform_runs IN ACCESS EXCLUSIVE MODE`
      locked.resolve()
      await looked.promise
    })
    await locked.promise
    const count = new CompletedLaterCount({ database } as BulkDependencies)
    await count.add([old])
    looked.resolve()
    await locking
    await count.add([old])
    expect(count.result).toEqual({ count: 0, of: 0 })
  })

  test('stops when nobody waits for it, and leaves nothing', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 1)
    const signal = AbortSignal.abort(new Error('gone'))
    await expect(bulkActions.previewReplay({ filter: { tenantId } }, { signal })).rejects.toThrow('gone')
    expect((await bulkActions.list({ within: [tenantId] })).actions).toEqual([])
  })

  test('needs no second connection while it holds one', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 2)
    const many = Array.from({ length: 30 }, () => bulkActions.previewReplay({ filter: { tenantId } }))
    for (const { total } of await Promise.all(many)) expect(total).toBe(2)
  })

  test('a schema that throws refuses its runs, and no others; what it says is not repeated', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 1)
    const { id } = await picky.trigger({ tenantId, word: 'private' })
    await kit.drain()
    pickySchemaThrows = true
    const preview = await bulkActions.previewReplay({ filter: { tenantId } })
    expect(preview.counts).toMatchObject({ waiting: 1, refused: 1 })
    expect(preview.refused).toMatchObject([
      { runId: id, problem: expect.stringContaining('schema threw RangeError') },
    ])
    expect(JSON.stringify(preview)).not.toContain('private')
    pickySchemaThrows = false
    const confirmed = await bulkActions.previewReplay({ filter: { tenantId } })
    await bulkActions.confirm(confirmed.id, { reason })
    pickySchemaThrows = true
    await allSteps()
    pickySchemaThrows = false
    expect(await bulkActions.get(confirmed.id)).toMatchObject({
      state: 'completed',
      counts: { done: 1, refused: 1 },
    })
  })

  test('inside a tenant there are the runs of that tenant', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    const [own] = await failures(one, 1)
    const [others] = await failures(two, 1)
    const theirs = await bulkActions.previewReplay({ runIds: [others!] })
    await withTenant(one, async () => {
      const preview = await runs.previewReplay({ filter: { taskId: flaky.id } })
      expect(preview).toMatchObject({ total: 1, tenantIds: [one] })
      await bulkActions.confirm(preview.id, { reason })
      expect((await bulkActions.runs(preview.id)).map(({ runId }) => runId)).toEqual([own])
      expect((await bulkActions.list({})).actions.map(({ id }) => id)).toEqual([preview.id])
      expect(await bulkActions.stop(preview.id)).toMatchObject({ state: 'stopped' })
      await expect(runs.previewReplay({ runIds: [others!] })).rejects.toThrow(UnknownRunError)
      for (const ask of [
        () => bulkActions.get(theirs.id),
        () => bulkActions.confirm(theirs.id, { reason }),
        () => bulkActions.stop(theirs.id),
        () => bulkActions.results(theirs.id),
        () => bulkActions.get(theirs.id, { within: [two] }),
      ]) {
        await expect(ask()).rejects.toThrow(UnknownBulkActionError)
      }
    })
    expect(await bulkActions.get(theirs.id)).toMatchObject({ state: 'previewed' })
  })

  test('shows which runs the task does not take any more, and leaves them out', async () => {
    const tenantId = await kit.tenant()
    const ids = await failures(tenantId, 2)
    await query(
      `UPDATE public.platform_runs SET payload = payload || '{"n":"secret of a tenant"}' WHERE id = $1`,
      [ids[0]],
    )
    const preview = await bulkActions.previewReplay({ runIds: ids })
    expect(preview.counts).toMatchObject({ waiting: 1, refused: 1 })
    expect(preview.refused).toMatchObject([{ runId: ids[0], problem: expect.stringMatching(/^n: /) }])
    expect(JSON.stringify(preview)).not.toContain('secret of a tenant')
  })

  test('what cannot be asked for is refused', async () => {
    const tenantId = await kit.tenant()
    const [id] = await failures(tenantId, 1)
    const refused: [() => Promise<unknown>, new (...args: never[]) => Error][] = [
      [() => bulkActions.previewReplay({ runIds: [] }), InvalidBulkActionError],
      [() => bulkActions.previewReplay({ runIds: [randomUUID()] }), UnknownRunError],
      [() => bulkActions.previewReplay({ runIds: [id!] }, { within: [] }), UnknownRunError],
      [() => bulkActions.previewReplay({ filter: { nonsense: 1 } as never }), InvalidRunFilterError],
      [() => bulkActions.previewReplay({ filter: { states: ['queued'] } }), InvalidRunFilterError],
      [() => bulkActions.previewCancel({ filter: { states: ['failed'] } }), InvalidRunFilterError],
      [
        () => bulkActions.previewReplay({ filter: {} }, { edit: { payload: { tenantId } } }),
        InvalidBulkActionError,
      ],
      [() => bulkActions.previewReplay({ runIds: [id!] }, { edit: { patch: 5 } }), InvalidBulkActionError],
      [
        () => bulkActions.previewReplay({ runIds: [id!] }, { edit: { patch: { tenantId: 'x' } } }),
        InvalidBulkActionError,
      ],
    ]
    for (const [ask, error] of refused) await expect(ask()).rejects.toThrow(error)
    // A preview that failed leaves nothing behind.
    expect((await bulkActions.list({ within: [tenantId] })).actions).toEqual([])
  })
})

test('replays and cancels are listed together or apart; one of no runs is theirs who asked', async () => {
  const [tenantId, neighbour] = [await kit.tenant(), await kit.tenant()]
  const within = [tenantId]
  const { id: replay } = await bulkActions.previewReplay({ filter: {} }, { within })
  const { id: cancel } = await bulkActions.previewCancel({ filter: {} }, { within })
  const listed = async (options: Parameters<typeof bulkActions.list>[0]) =>
    (await bulkActions.list(options)).actions.map(({ id }) => id)
  expect(await listed({ within })).toEqual([cancel, replay])
  expect(await listed({ within, kind: 'replay' })).toEqual([replay])
  expect(await listed({ within, kind: 'cancel' })).toEqual([cancel])
  expect(await listed({ within: [neighbour] })).toEqual([])
  const { id: ofAll } = await bulkActions.previewReplay({ filter: { tenantId } })
  await expect(bulkActions.get(ofAll, { within })).rejects.toThrow(UnknownBulkActionError)
  expect(await bulkActions.get(ofAll)).toMatchObject({ total: 0, tenantIds: [] })
})

describe('a confirm', () => {
  test('replays exactly those, links each, and the audit log says who and why', async () => {
    const tenantId = await kit.tenant()
    const ids = await failures(tenantId, 3)
    const { id } = await bulkActions.previewReplay({ runIds: ids }, { by })
    expect(await bulkActions.confirm(id, { by, reason: `  ${reason} ` })).toMatchObject({
      state: 'running',
      confirmedBy: by,
      reason,
      perSecond: 200,
    })
    await allSteps()
    await kit.drain()
    const items = await bulkActions.runs(id)
    expect(items.map(({ runId }) => runId)).toEqual(ids)
    for (const [n, { runId, newRunId, state }] of items.entries()) {
      expect(state).toBe('done')
      expect(await runs.get(newRunId!)).toMatchObject({
        state: 'completed',
        output: { n },
        replayOf: runId,
        triggeredBy: { kind: 'replay', ref: runId },
      })
    }
    expect(await bulkActions.get(id)).toMatchObject({
      state: 'completed',
      counts: { waiting: 0, done: 3, refused: 0, skipped: 0 },
      finishedAt: expect.any(Date),
    })
    expect(await bulkActions.results(id)).toMatchObject({ completed: 3, failed: 0 })
    const { audit } = kit.platform
    expect((await audit.list({ tenantIds: [tenantId], limit: 10 })).entries).toMatchObject([
      { actor: by, action: 'run.replay', tenantId, subject: id, reason, details: { runs: 3 } },
    ])
  })

  test('of several tenants is in the log of each, with its own runs and nothing of the others', async () => {
    const [one, two, three] = [await kit.tenant(), await kit.tenant(), await kit.tenant()]
    const runIds = [...(await failures(one, 3)), ...(await failures(two, 1)), ...(await failures(three, 1))]
    const { id } = await bulkActions.previewReplay({ runIds })
    await bulkActions.confirm(id, { by, reason, perSecond: 3 })
    expect(await step()).toBe(true)
    await bulkActions.stop(id, { by })
    const { audit } = kit.platform
    const told = async (tenantId: string) =>
      (await audit.list({ tenantIds: [tenantId] })).entries.map((entry) => {
        expect(entry).toMatchObject({ actor: by, tenantId, subject: id })
        return [entry.action, entry.reason, entry.details]
      })
    expect(await told(one)).toEqual([
      ['run.replay.stop', null, { skipped: 0 }],
      ['run.replay', reason, { runs: 3 }],
    ])
    for (const tenantId of [two, three]) {
      expect(await told(tenantId)).toEqual([
        ['run.replay.stop', null, { skipped: 1 }],
        ['run.replay', reason, { runs: 1 }],
      ])
    }
    const all = (await audit.list({ limit: 1_000 })).entries.filter(({ subject }) => subject === id)
    expect(all).toHaveLength(6)
  })

  test('of nothing is in the log of the platform', async () => {
    const { id } = await bulkActions.previewReplay({ filter: { tenantId: await kit.tenant() } })
    await bulkActions.stop(id, { by })
    expect((await kit.platform.audit.list({ limit: 1 })).entries).toMatchObject([
      { action: 'run.replay.stop', tenantId: null, subject: id, details: {} },
    ])
  })

  test('twice is once', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 2)
    const { id } = await bulkActions.previewReplay({ filter: { tenantId } })
    await Promise.all([1, 2, 3].map(() => bulkActions.confirm(id, { reason })))
    await allSteps()
    expect(await bulkActions.confirm(id, { reason })).toMatchObject({ state: 'completed' })
    await allSteps()
    expect((await runs.list({ tenantId })).runs).toHaveLength(4)
    expect((await kit.platform.audit.list({ tenantIds: [tenantId], limit: 10 })).entries).toHaveLength(1)
  })

  test('with an edit: one payload for one run, a patch for many', async () => {
    const tenantId = await kit.tenant()
    const ids = await failures(tenantId, 3)
    const edit = { payload: { tenantId, n: 9, note: 'whole' } }
    const whole = await bulkActions.previewReplay({ runIds: [ids[0]!] }, { edit })
    const patched = await bulkActions.previewReplay(
      { runIds: ids.slice(1) },
      { edit: { patch: { note: 'patched' } } },
    )
    for (const { id } of [whole, patched]) await bulkActions.confirm(id, { reason })
    await allSteps()
    await kit.drain()
    const outputs = async (id: string) =>
      await Promise.all(
        (await bulkActions.runs(id)).map(async ({ newRunId }) => (await runs.get(newRunId!)).output),
      )
    expect(await outputs(whole.id)).toEqual([{ n: 9, note: 'whole' }])
    expect(await outputs(patched.id)).toEqual([
      { n: 1, note: 'patched' },
      { n: 2, note: 'patched' },
    ])
    const bad = await bulkActions.previewReplay({ runIds: ids }, { edit: { patch: { note: 5 } } })
    expect(bad.counts).toMatchObject({ refused: 3, waiting: 0 })
  })

  test('is paced, and can be stopped half-way', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 5)
    const { id } = await bulkActions.previewReplay({ filter: { tenantId } })
    await bulkActions.confirm(id, { reason, perSecond: 2 })
    expect(await step()).toBe(true)
    expect(await step()).toBe(false)
    expect((await bulkActions.get(id)).counts).toMatchObject({ done: 2, waiting: 3 })
    expect(await bulkActions.stop(id, { by })).toMatchObject({
      state: 'stopped',
      counts: { done: 2, skipped: 3, waiting: 0 },
    })
    await nextStepIsDue()
    expect(await step()).toBe(false)
    await bulkActions.stop(id, { by })
    expect((await runs.list({ tenantId })).runs).toHaveLength(7)
    await expect(bulkActions.confirm(id, { reason })).rejects.toThrow(BulkActionStateError)
    expect(
      (await kit.platform.audit.list({ tenantIds: [tenantId], limit: 10 })).entries.map(
        ({ action }) => action,
      ),
    ).toEqual(['run.replay.stop', 'run.replay'])
  })

  test('of a suspended tenant waits until it is resumed', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 1)
    await suspendTenant(tenantId)
    const { id } = await bulkActions.previewReplay({ filter: { tenantId } })
    await bulkActions.confirm(id, { reason })
    await allSteps()
    await kit.drain()
    expect(await bulkActions.results(id)).toMatchObject({ held: 1 })
    await resumeTenant(tenantId)
    await kit.drain()
    expect(await bulkActions.results(id)).toMatchObject({ completed: 1 })
  })

  test('needs a reason, a pace and a preview that is fresh, and is for who sees all of its tenants', async () => {
    const [tenantId, neighbour] = [await kit.tenant(), await kit.tenant()]
    await failures(tenantId, 1)
    await failures(neighbour, 1)
    const { id } = await bulkActions.previewReplay(
      { filter: { taskId: flaky.id } },
      { within: [tenantId, neighbour] },
    )
    for (const bad of [
      { reason: ' ' },
      { reason: 5 as never },
      { reason, perSecond: 0 },
      { reason, perSecond: 0.5 },
    ]) {
      await expect(bulkActions.confirm(id, bad)).rejects.toThrow(InvalidBulkActionError)
    }
    const within = [tenantId]
    await expect(bulkActions.confirm(id, { reason, within })).rejects.toThrow(UnknownBulkActionError)
    await expect(bulkActions.get(id, { within })).rejects.toThrow(UnknownBulkActionError)
    await expect(bulkActions.runs(id, { within })).rejects.toThrow(UnknownBulkActionError)
    await expect(bulkActions.results(id, { within })).rejects.toThrow(UnknownBulkActionError)
    await expect(bulkActions.stop(id, { within })).rejects.toThrow(UnknownBulkActionError)
    await expect(bulkActions.get(randomUUID())).rejects.toThrow(UnknownBulkActionError)
    await expect(bulkActions.get('not an id')).rejects.toThrow(UnknownBulkActionError)
    expect((await bulkActions.list({ within })).actions.map((action) => action.id)).not.toContain(id)
    await query(`UPDATE public.platform_bulk_actions SET expires_at = now() WHERE id = $1`, [id])
    await expect(bulkActions.confirm(id, { reason })).rejects.toThrow(BulkActionStateError)
  })
})

describe('a step', () => {
  test('finds what has changed since: a run that is gone, a payload that is not taken', async () => {
    const tenantId = await kit.tenant()
    const ids = await failures(tenantId, 3)
    const { id } = await bulkActions.previewReplay({ runIds: ids })
    await bulkActions.confirm(id, { reason })
    await query('DELETE FROM public.platform_runs WHERE id = $1', [ids[0]])
    await query(`UPDATE public.platform_runs SET payload = '{}' WHERE id = $1`, [ids[1]])
    await allSteps()
    expect(await bulkActions.runs(id)).toMatchObject([
      { state: 'refused', problem: 'The run is not there any more.' },
      { state: 'refused', problem: expect.stringContaining('tenantId') },
      { state: 'done' },
    ])
  })

  test('that fails leaves nothing half done, and others are not kept waiting by it', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 2)
    const { id } = await bulkActions.previewReplay({ filter: { tenantId } })
    await bulkActions.confirm(id, { reason })
    const { database, engine } = await kit.platform.ready()
    const enqueue = vi.spyOn(engine, 'enqueue').mockImplementationOnce(async (...args) => {
      await PgBossEngine.prototype.enqueue.apply(engine, args)
      throw new Error('right after')
    })
    await expect(takeStep({ database, engine, dispatcher: kit.platform.dispatcher })).rejects.toThrow(
      'right after',
    )
    enqueue.mockRestore()
    expect((await bulkActions.get(id)).counts).toMatchObject({ waiting: 2 })
    expect((await runs.list({ tenantId })).runs).toHaveLength(2)
    expect(await step()).toBe(false)
    await nextStepIsDue()
    await allSteps()
    expect((await runs.list({ tenantId })).runs).toHaveLength(4)
  })

  test('by many processes at once is done by one', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 20)
    const { id } = await bulkActions.previewReplay({ filter: { tenantId } })
    await bulkActions.confirm(id, { reason, perSecond: 5 })
    while ((await bulkActions.get(id)).state === 'running') {
      await Promise.all([step(), step(), step()])
      await nextStepIsDue()
    }
    expect((await runs.list({ tenantId })).runs).toHaveLength(40)
  })

  test('is taken by a worker that is told, without being asked', async () => {
    const tenantId = await kit.tenant()
    await failures(tenantId, 2)
    const worker = await startWorker()
    const { id } = await bulkActions.previewReplay({ filter: { tenantId } })
    await bulkActions.confirm(id, { reason })
    await expect.poll(() => bulkActions.results(id), { timeout: 20_000 }).toMatchObject({ completed: 2 })
    await worker.stop()
  })
})

test('a cancel ends queued and running runs, which get their signal; what has ended is skipped', async () => {
  const tenantId = await kit.tenant()
  const [started, stopped] = [Promise.withResolvers<void>(), Promise.withResolvers<unknown>()]
  act = (signal) =>
    new Promise((_, reject) => {
      started.resolve()
      signal.addEventListener('abort', () => {
        stopped.resolve(signal.reason)
        reject(signal.reason)
      })
    })
  const running = await acting.trigger({ tenantId })
  const delayed = await acting.trigger({ tenantId }, { delay: '1h' })
  const single = await acting.trigger({ tenantId }, { delay: '1h' })
  const worker = await startWorker({ schedules: false })
  await started.promise
  const { id, total } = await bulkActions.previewCancel({ filter: { tenantId } }, { by })
  expect(total).toBe(3)
  await runs.cancel(single.id)
  await bulkActions.confirm(id, { by, reason })
  await allSteps()
  expect(await stopped.promise).toMatchObject({ code: 'RUN_CANCELLED' })
  for (const run of [running, delayed]) expect((await runs.get(run.id)).state).toBe('cancelled')
  expect((await bulkActions.get(id)).counts).toMatchObject({ done: 2, skipped: 1 })
  expect((await bulkActions.previewCancel({ runIds: [delayed.id] })).total).toBe(0)
  await worker.stop()
})

test('a cancel that a crash has interrupted counts what it had cancelled as its own', async () => {
  const tenantId = await kit.tenant()
  const { id: runId } = await acting.trigger({ tenantId }, { delay: '1h' })
  const { id } = await bulkActions.previewCancel({ runIds: [runId] })
  await bulkActions.confirm(id, { by, reason })
  // The step cancelled it and came to no commit.
  expect(await runs.cancel(runId)).toBe(true)
  await allSteps()
  expect(await bulkActions.get(id)).toMatchObject({ state: 'completed', counts: { done: 1, skipped: 0 } })
})

describe('what is old', () => {
  /** Actions of one run each, by what is said of them. */
  async function actions(): Promise<Record<'previewed' | 'running' | 'completed' | 'stopped', string>> {
    const tenantId = await kit.tenant()
    const runIds = await failures(tenantId, 1)
    const preview = async () => (await bulkActions.previewReplay({ runIds })).id
    const [previewed, running, completed, stopped] = [
      await preview(),
      await preview(),
      await preview(),
      await preview(),
    ]
    await bulkActions.confirm(completed, { reason })
    await allSteps()
    await bulkActions.confirm(running, { reason })
    await bulkActions.stop(stopped)
    return { previewed, running, completed, stopped }
  }

  async function age(column: 'created_at' | 'finished_at', interval: string): Promise<void> {
    await query(`UPDATE public.platform_bulk_actions SET ${column} = ${column} - $1::interval`, [interval])
  }

  async function rowsOf(id: string): Promise<number[]> {
    const [row] = await query<{ actions: number; runs: number }>(
      `SELECT (SELECT count(*)::int FROM public.platform_bulk_actions WHERE id = $1) AS actions,
              (SELECT count(*)::int FROM public.platform_bulk_action_runs WHERE action_id = $1) AS runs`,
      [id],
    )
    return [row!.actions, row!.runs]
  }

  test('is deleted: a preview after a day, what has ended after 90; the audit log stays', async () => {
    const { previewed, running, completed, stopped } = await actions()
    const { database } = await kit.platform.ready()
    const audited = (await kit.platform.audit.list({ limit: 1_000 })).entries.length
    await age('created_at', '23 hours')
    await age('finished_at', '89 days')
    await deleteOldActions(database)
    for (const id of [previewed, running, completed, stopped]) expect(await rowsOf(id)).toEqual([1, 1])
    await age('created_at', '2 hours')
    await deleteOldActions(database)
    expect(await rowsOf(previewed)).toEqual([0, 0])
    for (const id of [running, completed, stopped]) expect(await rowsOf(id)).toEqual([1, 1])
    await age('finished_at', '2 days')
    await age('created_at', '365 days')
    await deleteOldActions(database)
    for (const id of [completed, stopped]) expect(await rowsOf(id)).toEqual([0, 0])
    expect(await rowsOf(running)).toEqual([1, 1])
    expect((await kit.platform.audit.list({ limit: 1_000 })).entries).toHaveLength(audited)
    await allSteps()
  })

  test('is deleted in portions, by every driver, and found by an index', async () => {
    const { previewed } = await actions()
    await query(
      `INSERT INTO public.platform_bulk_action_runs (action_id, number, run_id, task_id, tenant_id)
       SELECT $1, number, gen_random_uuid(), 'bulk/flaky', 'some' FROM generate_series(2, 25000) AS number`,
      [previewed],
    )
    await query(
      `INSERT INTO public.platform_bulk_actions
         (id, kind, selection, tenant_ids, total, completed_later, completed_later_of, created_at, created_by, expires_at)
       SELECT gen_random_uuid(), 'replay', '{}', '{}', 0, 0, 0, now() - interval '3 days', '{}', now()
       FROM generate_series(1, 250)`,
    )
    await age('created_at', '25 hours')
    const driver = await kit.platform.driveBulkActions()
    await expect.poll(() => rowsOf(previewed), { timeout: 20_000 }).toEqual([0, 0])
    await expect
      .poll(() => query(`SELECT FROM public.platform_bulk_actions WHERE state = 'previewed'`), {
        timeout: 20_000,
      })
      .toEqual([])
    await driver.stop()
    for (const [index, condition] of [
      ['platform_bulk_actions_previewed', `state = 'previewed' AND created_at < now() - interval '1 day'`],
      ['platform_bulk_actions_finished', `finished_at < now() - interval '90 days'`],
    ]) {
      const { database } = await kit.platform.ready()
      const { rows } = await database.queryWith<{ 'QUERY PLAN': string }>(
        ['enable_seqscan', 'off'],
        `EXPLAIN SELECT id FROM public.platform_bulk_actions WHERE ${condition}`,
        [],
      )
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
      expect(plan).toContain(index)
    }
  })
})

describe('a tenant that is deleted', () => {
  test('takes its runs out of every action, and actions of its own; the audit log still says who and why', async () => {
    const [leaving, staying] = [await kit.tenant(), await kit.tenant()]
    const [own] = await failures(leaving, 1)
    const [others] = await failures(staying, 1)
    const alone = await bulkActions.previewReplay({ runIds: [own!] })
    const both = await bulkActions.previewReplay({ runIds: [own!, others!] })
    for (const { id } of [alone, both]) await bulkActions.confirm(id, { reason, by })
    await deleteTenant(leaving, { force: true })
    await expect(bulkActions.get(alone.id)).rejects.toThrow(UnknownBulkActionError)
    expect(await bulkActions.runs(both.id)).toMatchObject([{ runId: others }])
    await allSteps()
    expect(await bulkActions.get(both.id)).toMatchObject({
      state: 'completed',
      counts: { done: 1, skipped: 1, waiting: 0 },
    })
    expect((await runs.list({ tenantId: leaving })).runs).toEqual([])
    expect((await kit.platform.audit.list({ tenantIds: [leaving] })).entries).toMatchObject([
      { actor: by, action: 'run.replay', subject: both.id, reason },
      { actor: by, action: 'run.replay', subject: alone.id, reason },
    ])
  })

  test('amid a step waits for it, and its new runs go as well', async () => {
    const [leaving, staying] = [await kit.tenant(), await kit.tenant()]
    const ids = [...(await failures(leaving, 3)), ...(await failures(staying, 3))]
    const { id } = await bulkActions.previewReplay({ runIds: ids })
    await bulkActions.confirm(id, { reason })
    const { database, engine } = await kit.platform.ready()
    const [enqueued, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const enqueue = vi.spyOn(engine, 'enqueue').mockImplementationOnce(async (...args) => {
      const handles = await PgBossEngine.prototype.enqueue.apply(engine, args)
      enqueued.resolve()
      await goOn.promise
      return handles
    })
    const stepping = takeStep({ database, engine, dispatcher: kit.platform.dispatcher })
    await enqueued.promise
    const deleting = deleteTenant(leaving, { force: true })
    await expect
      .poll(
        () =>
          query(`SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%bulk_action%'`),
        { timeout: 20_000 },
      )
      .toHaveLength(1)
    goOn.resolve()
    expect(await stepping).toBe(true)
    await deleting
    enqueue.mockRestore()
    expect((await runs.list({ tenantId: leaving })).runs).toEqual([])
    expect(await query('SELECT FROM pgboss.job WHERE group_id = $1', [leaving])).toEqual([])
    expect(await bulkActions.get(id)).toMatchObject({ counts: { done: 6, waiting: 0 } })
    expect((await runs.list({ tenantId: staying })).runs).toHaveLength(6)
    await allSteps()
  })
})
