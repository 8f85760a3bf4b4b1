/**
 * The line to Trigger.dev when it is bad: whatever is lost or broken on it, a run is triggered once, or the caller gets
 * an error that says what happened. The tests run side by side, for the SDK takes its time between tries.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { runs, transaction, withTenant } from '../../../src/default-platform.ts'
import { TriggerEngine } from '../../../src/engines/trigger/engine.ts'
import {
  ConfigError,
  TriggerRefusedError,
  TriggerUnavailableError,
  UnknownRunError,
} from '../../../src/errors.ts'
import { createLogger } from '../../../src/log.ts'
import { Secret } from '../../../src/secret.ts'
import type { RunRequest } from '../../../src/task/run.ts'
import type { ProviderRequest } from '../../fixtures/providers/server.ts'
import { cloud, logged, newTenant, note, onTriggerDev, platform, storedOf } from './kit.ts'

onTriggerDev({ logger: createLogger('warn', { write: (line) => void logged.push(line) }) })

const requestKey = 'x-trigger-request-idempotency-key'
/** The SDK tries no more, so that a test need not wait for it. */
const atOnce = { 'x-should-retry': 'false' }

async function engineWith(
  options: { timeoutMs?: number; key?: Secret<string> | null; url?: string } = {},
): Promise<TriggerEngine> {
  const { database } = await platform.ready()
  return new TriggerEngine({
    url: cloud.url,
    key: new Secret(cloud.secretKey),
    previewBranch: null,
    database,
    logger: platform.logger,
    ...options,
  })
}

function requestOf(tenantId: string, options: Partial<RunRequest> = {}): RunRequest {
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

/** The requests of one tenant: those that carry it, or ask about one of its runs. */
function of(tenantId: string, path: RegExp = /trigger$/): (request: ProviderRequest) => boolean {
  return (request) => path.test(request.path) && request.text.includes(tenantId)
}

function sent(tenantId: string, path?: RegExp): ProviderRequest[] {
  return cloud.requests.filter(of(tenantId, path))
}

describe.concurrent('one run', () => {
  test('429: not before the time it says', async () => {
    const tenantId = await newTenant()
    const reset = Date.now() + 700
    cloud.answerNext(
      {
        status: 429,
        headers: { 'x-ratelimit-reset': String(reset) },
        body: { error: 'Rate limit exceeded' },
      },
      { matches: of(tenantId) },
    )
    const { id } = await note.trigger({ tenantId })
    expect(Date.now()).toBeGreaterThanOrEqual(reset)
    expect(sent(tenantId)).toHaveLength(2)
    expect(storedOf(tenantId)).toHaveLength(1)
    expect((await runs.get(id)).state).toBe('queued')
  })

  test.each([500, 502, 503, 504, 408, 409])('%i, then an answer', async (status) => {
    const tenantId = await newTenant()
    cloud.answerNext({ status, body: '<html>Bad gateway</html>' }, { matches: of(tenantId) })
    await note.trigger({ tenantId })
    expect(sent(tenantId)).toHaveLength(2)
    expect(new Set(sent(tenantId).map(({ headers }) => headers[requestKey])).size).toBe(1)
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  test('a connection that breaks before anything has arrived', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ instead: 'reset' }, { matches: of(tenantId) })
    await note.trigger({ tenantId })
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  const losses: [name: string, answer: { instead: 'reset' } | { status: number }][] = [
    ['a reset', { instead: 'reset' }],
    ['a 502', { status: 502 }],
  ]
  test.each(losses)('an answer lost by %s', async (_, answer) => {
    const tenantId = await newTenant()
    cloud.loseAnswer(answer, { matches: of(tenantId), times: 2 })
    const { id } = await note.trigger({ tenantId })
    expect(sent(tenantId)).toHaveLength(3)
    expect(storedOf(tenantId)).toHaveLength(1)
    expect((await runs.get(id)).tenantId).toBe(tenantId)
  })

  test('an answer lost with an idempotency key', async () => {
    const tenantId = await newTenant()
    const key = { idempotencyKey: 'k' }
    cloud.loseAnswer({ instead: 'reset' }, { matches: of(tenantId) })
    const first = await note.trigger({ tenantId }, key)
    expect(await note.trigger({ tenantId }, key)).toEqual(first)
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  test('no answer at all: the call is made once more', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith({ timeoutMs: 400 })
    cloud.loseAnswer({ instead: 'silence' }, { matches: of(tenantId) })
    const request = requestOf(tenantId)
    expect(await engine.enqueue([request], null)).toEqual([{ id: request.id }])
    const keys = sent(tenantId).map(({ headers }) => headers[requestKey])
    // To Trigger.dev these are two requests; the run's own idempotency key makes them one run.
    expect(new Set(keys).size).toBe(2)
    expect(storedOf(tenantId)).toHaveLength(1)
    expect((await engine.get(request.id))?.id).toBe(request.id)
  })

  test('an answer that nobody can read is an error; the same request again is the same run', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith()
    for (const body of ['<html>hello</html>', '', '{"id":', '{"run":7}', '[]']) {
      const request = requestOf(tenantId)
      cloud.loseAnswer({ body }, { matches: of(tenantId) })
      await expect(engine.enqueue([request], null)).rejects.toThrow(TriggerUnavailableError)
      expect(await engine.enqueue([request], null)).toEqual([{ id: request.id }])
    }
    expect(storedOf(tenantId)).toHaveLength(5)
  })

  test('a header that nobody can read', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith()
    const request = requestOf(tenantId)
    cloud.loseAnswer(
      { headers: { 'x-trigger-jwt-claims': '{broken' }, body: { id: 'run_1' } },
      { matches: of(tenantId) },
    )
    await expect(engine.enqueue([request], null)).rejects.toThrow(TriggerUnavailableError)
    await engine.enqueue([request], null)
    expect(storedOf(tenantId)).toHaveLength(1)
  })
})

describe.concurrent('a batch', () => {
  const items = (tenantId: string) => [1, 2, 3].map(() => ({ payload: { tenantId } }))
  const ofItems = (tenantId: string) => of(tenantId, /items$/)

  test.each([
    ['503', { status: 503 }],
    ['a reset', { instead: 'reset' }],
  ] as const)('whose items met %s, arrived or not, makes each run once', async (_, answer) => {
    const tenantId = await newTenant()
    cloud.answerNext(answer, { matches: ofItems(tenantId) })
    cloud.loseAnswer(answer, { matches: ofItems(tenantId) })
    const handles = await note.batchTrigger(items(tenantId))
    expect(sent(tenantId, /items$/)).toHaveLength(3)
    expect(storedOf(tenantId)).toHaveLength(3)
    for (const { id } of handles) expect((await runs.get(id)).state).toBe('queued')
  })

  const garbage = { body: '{"sealed":"maybe"}' }

  test('that has arrived makes each run once, whatever its answer looks like', async () => {
    const tenantId = await newTenant()
    for (const answer of [garbage, { body: '<html>' }]) {
      cloud.loseAnswer(answer, { matches: ofItems(tenantId) })
      await note.batchTrigger(items(tenantId))
    }
    expect(storedOf(tenantId)).toHaveLength(6)
  })

  test('that has not is an error; the same one again makes no run twice', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith()
    const requests = [requestOf(tenantId), requestOf(tenantId)]
    cloud.answerNext(garbage, { matches: ofItems(tenantId) })
    await expect(engine.enqueue(requests, null)).rejects.toThrow(/did not get all of the batch/)
    await engine.enqueue(requests, null)
    await engine.enqueue(requests, null)
    expect(storedOf(tenantId)).toHaveLength(2)
  })

  test('that hangs is sent once more, as another batch of the same runs', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith({ timeoutMs: 600 })
    cloud.loseAnswer({ instead: 'silence' }, { matches: ofItems(tenantId) })
    await engine.enqueue([requestOf(tenantId), requestOf(tenantId)], null)
    expect(storedOf(tenantId)).toHaveLength(2)
  })
})

describe.concurrent('a clear error', () => {
  test('when it stays away', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ status: 503 }, { matches: of(tenantId), times: 9 })
    const error = await note.trigger({ tenantId }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TriggerUnavailableError)
    expect(error).toMatchObject({ code: 'TRIGGER_UNAVAILABLE', message: /HTTP 503/ })
    expect(sent(tenantId)).toHaveLength(5)
    expect(storedOf(tenantId)).toEqual([])
  })

  test('when nobody is there', async () => {
    const engine = await engineWith({ url: 'http://127.0.0.1:1' })
    await expect(engine.enqueue([requestOf(await newTenant())], null)).rejects.toThrow(
      /could not be reached to trigger trigger-test\/note: the connection failed/,
    )
  })

  test('when it never answers', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith({ timeoutMs: 200 })
    cloud.answerNext({ instead: 'silence' }, { matches: of(tenantId), times: 2 })
    await expect(engine.enqueue([requestOf(tenantId)], null)).rejects.toThrow(/no answer in 200 ms, twice/)
  })

  test('when the limit lasts longer than anybody waits', async () => {
    const tenantId = await newTenant()
    const headers = { ...atOnce, 'x-ratelimit-reset': String(Date.now() + 3_600_000) }
    cloud.answerNext({ status: 429, headers }, { matches: of(tenantId) })
    await expect(note.trigger({ tenantId })).rejects.toThrow(/asked too often/)
  })

  test('when it refuses the key, which nobody gets to see', async () => {
    const key = 'tr_prod_nobodyknowsthisone'
    const engine = await engineWith({ key: new Secret(key) })
    const tenantId = await newTenant()
    const error = await engine.enqueue([requestOf(tenantId)], null).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TriggerRefusedError)
    expect(error).toMatchObject({ code: 'TRIGGER_REFUSED', status: 401, message: /TRIGGER_SECRET_KEY/ })
    expect(sent(tenantId)).toHaveLength(1)
    cloud.answerNext(
      { status: 400, body: { error: `the key ${key} is not one for this` } },
      { matches: of(tenantId) },
    )
    const echoed = await engine.enqueue([requestOf(tenantId)], null).catch((thrown: unknown) => thrown)
    expect(echoed).toBeInstanceOf(TriggerRefusedError)
    for (const shown of [error, echoed, engine, platform.config]) {
      expect(inspect(shown, { depth: 9, showHidden: true })).not.toContain(key)
      expect(inspect(shown, { depth: 9 })).not.toContain(cloud.secretKey)
    }
  })

  test('when there is no key', async () => {
    const engine = await engineWith({ key: null })
    await expect(engine.enqueue([requestOf(await newTenant())], null)).rejects.toThrow(ConfigError)
    await expect(engine.list({ limit: 1 })).rejects.toThrow(/TRIGGER_SECRET_KEY/)
  })

  test('when it refuses the run: no try is wasted on it, and no payload is told', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ status: 422, body: { error: 'No such queue' } }, { matches: of(tenantId) })
    const error = await note.trigger({ tenantId, text: 'hush' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ name: 'TriggerRefusedError', status: 422, message: /No such queue/ })
    expect(inspect(error, { depth: 9 })).not.toContain('hush')
    expect(sent(tenantId)).toHaveLength(1)
  })

  test('when a run, a list or a cancel is answered with garbage; a hiccup is passed over', async () => {
    const tenantId = await newTenant()
    const { id } = await note.trigger({ tenantId })
    const triggerId = storedOf(tenantId)[0]!.id
    const asked = (method: string, path: RegExp) => (request: ProviderRequest) =>
      request.method === method && path.test(request.path + request.query)
    const run = asked('GET', new RegExp(triggerId))
    const list = asked('GET', new RegExp(`runs.*${tenantId}`))
    const cancel = asked('POST', new RegExp(`${triggerId}/cancel`))
    for (const body of ['<html>', '', '{"id":1}', '{"data":[{}],"pagination":{}}']) {
      cloud.answerNext({ body }, { matches: run })
      await expect(runs.get(id)).rejects.toThrow(TriggerUnavailableError)
      cloud.answerNext({ body }, { matches: list })
      await expect(runs.list({ tenantId })).rejects.toThrow(TriggerUnavailableError)
    }
    cloud.answerNext({ body: '{}' }, { matches: cancel })
    await expect(runs.cancel(id)).rejects.toThrow(TriggerUnavailableError)
    for (const matches of [run, list, cancel]) cloud.answerNext({ status: 502 }, { matches })
    expect((await runs.get(id)).state).toBe('queued')
    expect((await runs.list({ tenantId })).runs).toHaveLength(1)
    expect(await runs.cancel(id)).toBe(true)
  })
})

describe.concurrent('a run that a transaction has promised', () => {
  const promise = (tenantId: string) =>
    withTenant(tenantId, () => transaction(() => note.trigger({ tenantId })))
  const logsOf = (runId: string) => logged.filter((line) => line.includes(runId))

  test('is tried again until Trigger.dev takes it', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ status: 503, headers: atOnce }, { matches: of(tenantId) })
    const { id } = await promise(tenantId)
    expect(await runs.get(id)).toMatchObject({ state: 'queued', payload: null })
    expect(storedOf(tenantId)).toEqual([])
    expect(logsOf(id)[0]).toContain('could not be triggered yet')
    while (storedOf(tenantId).length === 0) await sleep(20)
    expect(await runs.get(id)).toMatchObject({ state: 'queued', payload: { tenantId } })
  })

  test('and that it refuses is told to the operator', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ status: 422, body: { error: 'no' } }, { matches: of(tenantId) })
    const { id } = await promise(tenantId)
    await expect(runs.get(id)).rejects.toThrow(UnknownRunError)
    expect(logsOf(id).join()).toContain('are lost: trigger them again')
    expect(logsOf(id).join()).toContain('TRIGGER_REFUSED')
  })

  test('is tried once more when the process ends, and does not keep it', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith()
    const request = requestOf(tenantId)
    const hooks: (() => void)[] = []
    const given = { afterCommit: (hook: () => void) => void hooks.push(hook) }
    cloud.answerNext({ status: 503, headers: atOnce }, { matches: of(tenantId), times: 2 })
    await engine.enqueue([request], given as never)
    for (const hook of hooks) hook()
    await engine.get(request.id)
    await engine.close()
    expect(sent(tenantId)).toHaveLength(2)
    expect(logsOf(request.id).join()).toContain('are lost')
  })
})
