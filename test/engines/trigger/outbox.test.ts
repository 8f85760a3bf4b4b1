/** What was promised reaches Trigger.dev once, whoever dies; and every process finds what another one has triggered. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { currentScope } from '../../../src/db/scope.ts'
import { deleteTenant, runs, transaction, withTenant } from '../../../src/default-platform.ts'
import { TriggerEngine, type TriggerEngineOptions } from '../../../src/engines/trigger/engine.ts'
import { Outbox } from '../../../src/engines/trigger/outbox.ts'
import { TenantHasOpenRunsError, WaitTimeoutError } from '../../../src/errors.ts'
import { takeEvent } from '../../../src/http/take-event.ts'
import { RunWaiter } from '../../../src/runs/waiter.ts'
import { Secret } from '../../../src/secret.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import type { RunRequest } from '../../../src/task/run.ts'
import { anotherProcess, cloud, newTenant, note, onTriggerDev, platform, stored, storedOf } from './kit.ts'

const onEvent = defineTask({
  id: 'trigger-test/on-event',
  payload: tenantPayload({}),
  webhooks: [{ service: 'stripe', events: ['charge.refunded'], payload: () => ({}) }],
  run: () => null,
})

onTriggerDev({ tasks: [note, onEvent] })

let tenantId: string
const engines: TriggerEngine[] = []
beforeEach(async () => {
  tenantId = await newTenant()
})
afterEach(async () => {
  cloud.calm()
  cloud.listsNothing = false
  cloud.batchesWait = false
  for (const engine of engines.splice(0)) await engine.close()
})

async function engineOfAnotherProcess(options: Partial<TriggerEngineOptions> = {}): Promise<TriggerEngine> {
  const { database } = await platform.ready()
  const engine = new TriggerEngine({
    url: cloud.url,
    key: new Secret(cloud.secretKey),
    previewBranch: null,
    database,
    logger: platform.logger,
    retention: platform.config,
    sweepEveryMs: 20,
    ...options,
  })
  engines.push(engine)
  return engine
}

function requestOf(options: Partial<RunRequest> = {}): RunRequest {
  return {
    id: randomUUID(),
    taskId: note.id,
    tenantId,
    input: { tenantId },
    parentRunId: null,
    triggeredBy: { kind: 'app', ref: null },
    replayOf: null,
    idempotency: null,
    delayMs: 0,
    runAt: null,
    priority: 0,
    ttlMs: null,
    tags: [],
    maxAttempts: 1,
    ...options,
  }
}

/** Commits, and dies before it has sent anything. */
async function promiseAndDie(requests: readonly RunRequest[]): Promise<void> {
  const { database } = await platform.ready()
  const engine = await engineOfAnotherProcess()
  await database.withTenant(tenantId, () =>
    database.transaction(async () => {
      const open = currentScope()!.transaction!
      const dying = { afterCommit() {}, executeAsPlatform: open.executeAsPlatform.bind(open) }
      await engine.enqueue(requests, dying as never)
    }),
  )
}

async function rowsOf(tenant: string): Promise<Record<string, unknown>[]> {
  const { database } = await platform.ready()
  const text = 'SELECT * FROM public.platform_trigger_runs WHERE tenant_id = $1'
  return (await database.query(text, [tenant])).rows
}

async function shift(column: 'created_at' | 'next_try_at', by: string): Promise<void> {
  const { database } = await platform.ready()
  await database.query(
    `UPDATE public.platform_trigger_runs SET ${column} = ${column} - $2::interval WHERE tenant_id = $1`,
    [tenantId, by],
  )
}

async function untilStored(count: number): Promise<void> {
  while (storedOf(tenantId).length < count) await sleep(10)
}

describe('what a process has promised', () => {
  test('and died before it sent it, another one sends', async () => {
    const requests = [requestOf(), requestOf({ idempotency: { key: 'k', ttlMs: 60_000 } })]
    await promiseAndDie(requests)
    const other = await engineOfAnotherProcess()
    expect(await other.get(requests[0]!.id)).toMatchObject({ state: 'queued', payload: { tenantId } })
    expect(storedOf(tenantId)).toEqual([])
    await other.start()
    await untilStored(2)
    expect(await other.get(requests[1]!.id)).toMatchObject({ state: 'queued', idempotencyKey: 'k' })
  })

  test('and died while it sent it, another one sends once nobody can be at it any more', async () => {
    const [sent, unsent] = [requestOf(), requestOf()]
    await promiseAndDie([sent, unsent])
    const { database } = await platform.ready()
    await new Outbox(database).take([sent.id, unsent.id])
    await (await engineOfAnotherProcess()).enqueue([sent], null)
    // Its answer never came: it has ended, its key is free, and the table knows of nothing.
    cloud.store.end(stored(sent.id), 'FAILED')
    await database.query(
      'UPDATE public.platform_trigger_runs SET trigger_id = NULL, request = $2, next_try_at = $3 WHERE run_id = $1',
      [sent.id, JSON.stringify(sent), new Date(Date.now() + 60_000)],
    )
    const other = await engineOfAnotherProcess()
    await other.start()
    await sleep(100)
    expect(storedOf(tenantId)).toHaveLength(1)
    await shift('next_try_at', '2 minutes')
    await untilStored(2)
    while ((await other.get(sent.id))?.state !== 'failed') await sleep(10)
    expect((await other.get(unsent.id))?.state).toBe('queued')
    expect(storedOf(tenantId)).toHaveLength(2)
  })

  test('is sent once, however many processes look for it', async () => {
    const requests = Array.from({ length: 200 }, (_, index) =>
      requestOf(index % 10 === 0 ? { idempotency: { key: `${index}`, ttlMs: 60_000 } } : {}),
    )
    for (let start = 0; start < requests.length; start += 20) {
      await promiseAndDie(requests.slice(start, start + 20))
    }
    cloud.requests.length = 0
    const others = await Promise.all(Array.from({ length: 3 }, () => engineOfAnotherProcess()))
    await Promise.all(others.map((one) => one.start()))
    await untilStored(requests.length)
    const posted = cloud.requests
      .filter(({ method }) => method === 'POST')
      .map(({ text }) => text)
      .join('\n')
    for (const { id } of requests) expect(posted.split(`run:${id}`)).toHaveLength(2)
  })

  test('is sent when its engine is closed before it was taken', async () => {
    cloud.answerNext(
      { status: 503 },
      { matches: ({ path, text }) => /trigger$/.test(path) && text.includes(tenantId) },
    )
    const engine = await engineOfAnotherProcess()
    const { database } = await platform.ready()
    const request = requestOf()
    await database.transaction(() => engine.enqueue([request], currentScope()!.transaction))
    await engine.get(request.id)
    await engine.close()
    expect(storedOf(tenantId)).toEqual([])
    await (await engineOfAnotherProcess()).start()
    await untilStored(1)
  })

  test('waits and expires from when it was promised, not from when it was sent', async () => {
    const [late, early] = [
      requestOf({ delayMs: 60_000, ttlMs: 90_000 }),
      requestOf({ delayMs: 7_200_000, ttlMs: 5_000 }),
    ]
    await promiseAndDie([late, early])
    await shift('created_at', '100 seconds')
    await (await engineOfAnotherProcess()).start()
    await untilStored(2)
    const { options } = stored(late.id)
    expect(options).not.toHaveProperty('delay')
    expect(Number(options.ttl)).toBeGreaterThan(40)
    expect(Number(options.ttl)).toBeLessThanOrEqual(50)
    expect(stored(early.id).status).toBe('DELAYED')
    expect(Math.abs(stored(early.id).queuedAt - (Date.now() + 7_100_000))).toBeLessThan(20_000)
    expect(stored(early.id).options.ttl).toBe(5)
  })

  test('is not kept back by one that never goes through', async () => {
    const stuck = requestOf({ input: { tenantId, text: 'stuck' } })
    const requests = [
      requestOf(),
      stuck,
      requestOf(),
      requestOf({ idempotency: { key: 'k', ttlMs: 60_000 } }),
    ]
    await promiseAndDie(requests)
    const { database } = await platform.ready()
    await database.query('UPDATE public.platform_trigger_runs SET tries = 4 WHERE tenant_id = $1', [tenantId])
    cloud.answerNext({ status: 500 }, { matches: ({ text }) => text.includes(stuck.id), times: 99 })
    await (await engineOfAnotherProcess()).start()
    await untilStored(3)
    const waiting = async () =>
      (await rowsOf(tenantId)).filter(({ next_try_at }) => next_try_at !== null).map(({ run_id }) => run_id)
    await expect.poll(waiting).toEqual([stuck.id])
  })

  test('of a tenant counts, and goes with the tenant', async () => {
    cloud.answerNext(
      { status: 503 },
      { matches: ({ path, text }) => /trigger$/.test(path) && text.includes(tenantId), times: 99 },
    )
    const { id } = await withTenant(tenantId, () => transaction(() => note.trigger({ tenantId })))
    await runs.get(id)
    await expect(deleteTenant(tenantId)).rejects.toThrow(TenantHasOpenRunsError)
    await deleteTenant(tenantId, { force: true })
    expect(await rowsOf(tenantId)).toEqual([])
    cloud.calm()
    await (await engineOfAnotherProcess()).start()
    await sleep(100)
    expect(storedOf(tenantId)).toEqual([])
  })

  test('a webhook event that was acknowledged is run, though Trigger.dev was away', async () => {
    cloud.answerNext(
      { status: 503 },
      { matches: ({ path, text }) => /trigger$/.test(path) && text.includes(tenantId) },
    )
    const incoming = {
      tenantId,
      service: 'stripe' as const,
      event: { id: 'evt_1', type: 'charge.refunded', body: {} },
      logger: platform.logger,
    }
    const [runId] = (await takeEvent(platform, incoming as never))!
    expect(await runs.get(runId!)).toMatchObject({ state: 'queued' })
    expect(await takeEvent(platform, incoming as never)).toBeNull()
    await untilStored(1)
    expect(stored(runId!).taskId).toBe(onEvent.id)
  })
})

describe('another process finds', () => {
  test('a run that was just triggered, before Trigger.dev lists it', async () => {
    cloud.listsNothing = true
    const { id } = await note.trigger({ tenantId })
    const { engine, close } = await anotherProcess()
    expect(await engine.get(id)).toMatchObject({ id, state: 'queued' })
    const waiter = new RunWaiter((runIds) => engine.getMany(runIds))
    await expect(waiter.wait(id, { timeoutMs: 300 })).rejects.toThrow(WaitTimeoutError)
    waiter.close(new Error('over'))
    expect(await engine.cancel(id)).toBe(true)
    await close()
    expect(stored(id).status).toBe('CANCELED')
  })

  test('every run of a batch, also before Trigger.dev has made it, and its id once it has', async () => {
    cloud.batchesWait = true
    const handles = await note.batchTrigger(Array.from({ length: 10_500 }, () => ({ payload: { tenantId } })))
    const { engine, close } = await anotherProcess()
    const [first, last] = [handles[0]!.id, handles.at(-1)!.id]
    for (const id of [first, last]) {
      expect(await engine.get(id)).toMatchObject({ id, state: 'queued', tenantId, payload: null })
    }
    await cloud.makeBatchRuns()
    expect(await engine.get(last)).toMatchObject({ state: 'queued', payload: { tenantId } })
    const row = (await rowsOf(tenantId)).find(({ run_id }) => run_id === last)
    expect(row).toMatchObject({ trigger_id: stored(last).id, request: null })
    await close()
  })

  test('nothing of a batch that has made no run in ten minutes', async () => {
    cloud.batchesWait = true
    const [run] = await note.batchTrigger([{ payload: { tenantId } }, { payload: { tenantId } }])
    const { database } = await platform.ready()
    await database.query(
      "UPDATE public.platform_trigger_runs SET sent_at = now() - interval '11 minutes' WHERE run_id = $1",
      [run!.id],
    )
    expect(await (await engineOfAnotherProcess()).get(run!.id)).toBeNull()
  })

  test('which run has a key, by each id that was told', async () => {
    const key = { idempotencyKey: 'k' }
    const handles = await withTenant(tenantId, () =>
      transaction(async () => [await note.trigger({ tenantId }, key), await note.trigger({ tenantId }, key)]),
    )
    await untilStored(1)
    const { engine, close } = await anotherProcess()
    cloud.listsNothing = true
    for (const { id } of handles) expect(await engine.get(id)).toMatchObject({ id, state: 'queued' })
    await close()
  })
})

test('rows of runs that are old are deleted, those of runs that wait are not', async () => {
  await note.trigger({ tenantId })
  const waiting = requestOf()
  await promiseAndDie([waiting])
  await shift('created_at', '31 days')
  const { database } = await platform.ready()
  const outbox = new Outbox(database)
  expect(await outbox.forgetOld(1_000)).toBe(1)
  expect(await rowsOf(tenantId)).toEqual([expect.objectContaining({ run_id: waiting.id })])
})
