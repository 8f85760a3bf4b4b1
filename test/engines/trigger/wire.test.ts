/**
 * The line to Trigger.dev when it is bad: whatever is lost or broken on it, a run is triggered once, or the caller gets
 * an error that says what happened. The tests run side by side, for the SDK takes its time between tries.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { currentScope } from '../../../src/db/scope.ts'
import { failures, runs, transaction, withTenant } from '../../../src/default-platform.ts'
import type { TriggerEngine, TriggerEngineOptions } from '../../../src/engines/trigger/engine.ts'
import {
  ConfigError,
  RateLimitedError,
  TriggerRefusedError,
  TriggerUnavailableError,
} from '../../../src/errors.ts'
import { createLogger } from '../../../src/log.ts'
import { Secret } from '../../../src/secret.ts'
import type { RunRequest } from '../../../src/task/run.ts'
import type { ProviderAnswer, ProviderRequest } from '../../fixtures/providers/server.ts'
import {
  anotherEngine,
  cloud,
  logged,
  newTenant,
  note,
  onTriggerDev,
  platform,
  requestOf,
  storedOf,
} from './kit.ts'

onTriggerDev({ logger: createLogger('warn', { write: (line) => void logged.push(line) }) })

const nothingListed: ProviderAnswer = { body: { data: [], pagination: {} } }

/** Lists that are asked whether they have this run. */
function looksFor({ id }: RunRequest): (request: ProviderRequest) => boolean {
  return ({ path, query }) => path === '/api/v1/runs' && query.get('filter[tag]')?.includes(id) === true
}

function engineWith(options: Partial<TriggerEngineOptions> = {}): Promise<TriggerEngine> {
  return anotherEngine({ pausesMs: [20, 20, 20, 20], ...options })
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
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  test('a connection that breaks before anything has arrived', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ instead: 'reset' }, { matches: of(tenantId) })
    await note.trigger({ tenantId })
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  const losses: [name: string, answer: ProviderAnswer][] = [
    ['a reset', { instead: 'reset' }],
    ['a 502', { status: 502 }],
    ['silence', { instead: 'silence' }],
  ]
  test.each(losses)('an answer lost by %s: the run is found, and not asked for again', async (_, answer) => {
    const tenantId = await newTenant()
    const engine = await engineWith({ timeoutMs: 400 })
    const request = requestOf(tenantId)
    cloud.loseAnswer(answer, { matches: of(tenantId) })
    expect(await engine.enqueue([request], null)).toEqual([{ id: request.id }])
    expect(sent(tenantId)).toHaveLength(1)
    expect(storedOf(tenantId)).toHaveLength(1)
    expect((await engine.get(request.id))?.tenantId).toBe(tenantId)
  })

  test.each(losses)(
    'an answer lost by %s, and lists that are late: the run has a key of its own',
    async (_, answer) => {
      const tenantId = await newTenant()
      const engine = await engineWith({ timeoutMs: 400 })
      const request = requestOf(tenantId)
      cloud.loseAnswer(answer, { matches: of(tenantId), times: 2 })
      cloud.answerNext(nothingListed, { matches: looksFor(request), times: 2 })
      await engine.enqueue([request], null)
      expect(sent(tenantId)).toHaveLength(3)
      expect(storedOf(tenantId)).toHaveLength(1)
    },
  )

  test.each(losses)(
    'an answer lost by %s, of a run that fails at once and so frees its key',
    async (_, answer) => {
      const tenantId = await newTenant()
      const engine = await engineWith({ timeoutMs: 400 })
      cloud.loseAnswer(
        () => {
          cloud.store.end(storedOf(tenantId)[0]!, 'FAILED')
          return answer
        },
        { matches: of(tenantId) },
      )
      await engine.enqueue([requestOf(tenantId)], null)
      expect(storedOf(tenantId).map(({ status }) => status)).toEqual(['FAILED'])
    },
  )

  test('what cannot be looked for is not asked for again', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith()
    const request = requestOf(tenantId)
    cloud.loseAnswer({ status: 503 }, { matches: of(tenantId) })
    cloud.answerNext({ status: 500 }, { matches: looksFor(request), times: 4 })
    await expect(engine.enqueue([request], null)).rejects.toThrow(/to trigger .* HTTP 503/)
    expect(sent(tenantId)).toHaveLength(1)
  })

  test('an answer lost with an idempotency key', async () => {
    const tenantId = await newTenant()
    const key = { idempotencyKey: 'k' }
    cloud.loseAnswer({ instead: 'reset' }, { matches: of(tenantId) })
    const first = await note.trigger({ tenantId }, key)
    expect(await note.trigger({ tenantId }, key)).toEqual(first)
    expect(storedOf(tenantId)).toHaveLength(1)
  })

  test('a key that is to be freed is not freed after the caller was told that it was not', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith({ patienceMs: 100, timeoutMs: 300 })
    const keyed = () => requestOf(tenantId, { idempotency: { key: 'k', ttlMs: 60_000 } })
    await engine.enqueue([keyed()], null)
    cloud.store.end(storedOf(tenantId)[0]!, 'CANCELED')
    const { idempotencyKey } = storedOf(tenantId)[0]!.options
    const freeing = ({ path }: ProviderRequest) => path.endsWith(`${idempotencyKey}/reset`)
    const limited = { status: 429, headers: { 'x-ratelimit-reset': String(Date.now() + 700) } }
    cloud.answerNext(limited, { matches: freeing })
    await expect(engine.enqueue([keyed()], null)).rejects.toThrow(RateLimitedError)
    cloud.answerNext({ instead: 'silence' }, { matches: freeing })
    await expect(engine.enqueue([keyed()], null)).rejects.toThrow(/no answer in 300 ms/)
    const [second] = await engine.enqueue([keyed()], null)
    await sleep(1_500)
    expect(await engine.enqueue([keyed()], null)).toEqual([second])
    expect(storedOf(tenantId)).toHaveLength(2)
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
    expect(sent(tenantId, /items$/)).toHaveLength(2)
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
    cloud.answerNext(garbage, { matches: ofItems(tenantId), times: 5 })
    await expect(engine.enqueue(requests, null)).rejects.toThrow(TriggerUnavailableError)
    expect(await engine.getMany(requests.map(({ id }) => id))).toEqual([])
    await engine.enqueue(requests, null)
    await engine.enqueue(requests, null)
    expect(storedOf(tenantId)).toHaveLength(2)
  })

  test('that hangs and has arrived is not sent again, also when its runs have failed', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith({ timeoutMs: 600 })
    cloud.loseAnswer(
      () => {
        for (const run of storedOf(tenantId)) cloud.store.end(run, 'FAILED')
        return { instead: 'silence' }
      },
      { matches: ofItems(tenantId) },
    )
    await engine.enqueue([requestOf(tenantId), requestOf(tenantId)], null)
    expect(storedOf(tenantId).map(({ status }) => status)).toEqual(['FAILED', 'FAILED'])
  })

  test('too large for one is all or none: what is left when a part was taken follows', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith({ pausesMs: [], sweepEveryMs: 50 })
    const many = Array.from({ length: 1_500 }, () => requestOf(tenantId))
    const second = ({ path, body }: ProviderRequest) => path === '/api/v3/batches' && body.runCount === 500
    // It has arrived, and its runs have failed already.
    cloud.loseAnswer(
      () => {
        for (const run of storedOf(tenantId).slice(1_000)) cloud.store.end(run, 'FAILED')
        return { status: 503 }
      },
      { matches: ({ path, text }) => /items$/.test(path) && text.includes(many.at(-1)!.id) },
    )
    const handles = await engine.enqueue(many, null)
    expect(handles.map(({ id }) => id)).toEqual(many.map(({ id }) => id))
    expect(storedOf(tenantId)).toHaveLength(many.length)
    expect((await engine.get(many.at(-1)!.id))?.state).toBe('failed')

    const others = Array.from({ length: 1_500 }, () => requestOf(tenantId))
    cloud.answerNext({ status: 503 }, { matches: second })
    await engine.enqueue(others, null)
    while (storedOf(tenantId).length < 2 * many.length) await sleep(20)
    expect((await engine.get(others.at(-1)!.id))?.state).toBe('queued')

    const first = ({ path, body }: ProviderRequest) => path === '/api/v3/batches' && body.runCount === 1_000
    const none = Array.from({ length: 1_500 }, () => requestOf(tenantId))
    cloud.answerNext({ status: 503 }, { matches: first })
    await expect(engine.enqueue(none, null)).rejects.toThrow(/HTTP 503/)
    expect(await engine.getMany(none.slice(-3).map(({ id }) => id))).toEqual([])
    expect(storedOf(tenantId)).toHaveLength(2 * many.length)
    await engine.close()
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
    cloud.answerNext({ instead: 'silence' }, { matches: of(tenantId), times: 5 })
    await expect(engine.enqueue([requestOf(tenantId)], null)).rejects.toThrow(/no answer in 200 ms/)
  })

  test.each([
    ['x-ratelimit-reset', () => String(Date.now() + 600)],
    ['retry-after', () => '1'],
  ])('when the limit (%s) lasts longer than anybody waits: nothing is sent later', async (header, value) => {
    const tenantId = await newTenant()
    const engine = await engineWith({ patienceMs: 300 })
    cloud.answerNext({ status: 429, headers: { [header]: value() } }, { matches: of(tenantId), times: 2 })
    for (const requests of [[requestOf(tenantId)], [requestOf(tenantId), requestOf(tenantId)]]) {
      const isSingle = requests.length === 1
      if (!isSingle)
        cloud.answerNext(
          { status: 429, headers: { [header]: value() } },
          { matches: ({ path }) => path === '/api/v3/batches' },
        )
      const error = await engine.enqueue(requests, null).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(RateLimitedError)
      expect(error).toMatchObject({ message: /takes no more requests for another 1 s \(HTTP 429\)/ })
    }
    await sleep(1_500)
    expect(storedOf(tenantId)).toEqual([])
  })

  test('a large payload that is stored too late is not triggered with', async () => {
    const tenantId = await newTenant()
    const engine = await engineWith({ timeoutMs: 300, pausesMs: [] })
    const stored = Promise.withResolvers<void>()
    cloud.answerNext(
      async () => {
        await stored.promise
        return {}
      },
      {
        matches: ({ method, path, text }) =>
          method === 'PUT' && path.startsWith('/store/') && text.includes(tenantId),
      },
    )
    const input = { tenantId, text: 'x'.repeat(200_000) }
    await expect(engine.enqueue([requestOf(tenantId, { input })], null)).rejects.toThrow(
      /no answer in 300 ms/,
    )
    stored.resolve()
    await sleep(300)
    expect(storedOf(tenantId)).toEqual([])
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
    const tenantId = await newTenant()
    await expect(engine.enqueue([requestOf(tenantId)], null)).rejects.toThrow(ConfigError)
    const { database } = await platform.ready()
    const promised = database.transaction(async () => {
      await database.sql`UPDATE public.organizations SET name = 'committed' WHERE slug = ${tenantId}`
      await engine.enqueue([requestOf(tenantId)], currentScope()!.transaction)
    })
    await expect(promised).rejects.toThrow(/TRIGGER_SECRET_KEY/)
    const { rows } = await database.query('SELECT FROM public.organizations WHERE name = $1', ['committed'])
    expect(rows).toEqual([])
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

  test('is tried again until Trigger.dev takes it, and can be read meanwhile', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ status: 503 }, { matches: of(tenantId) })
    const { id } = await promise(tenantId)
    expect(await runs.get(id)).toMatchObject({ state: 'queued', payload: { tenantId } })
    expect(storedOf(tenantId)).toEqual([])
    expect(logsOf(id)[0]).toContain('could not be triggered yet')
    await expect(runs.cancel(id)).rejects.toThrow(/has not got this run yet/)
    while (storedOf(tenantId).length === 0) await sleep(20)
    expect(await runs.get(id)).toMatchObject({ state: 'queued', payload: { tenantId } })
  })

  test('is one run, also when its answer was lost and it has failed', async () => {
    const tenantId = await newTenant()
    cloud.loseAnswer(
      () => {
        cloud.store.end(storedOf(tenantId)[0]!, 'FAILED')
        return { status: 503 }
      },
      { matches: of(tenantId) },
    )
    const { id } = await promise(tenantId)
    while ((await runs.get(id)).state !== 'failed') await sleep(50)
    expect(sent(tenantId)).toHaveLength(1)
  })

  test('is not sent again because another one of them was not taken', async () => {
    const tenantId = await newTenant()
    cloud.answerNext(
      () => {
        for (const run of storedOf(tenantId)) cloud.store.end(run, 'FAILED')
        return { status: 503 }
      },
      { matches: of(tenantId) },
    )
    await withTenant(tenantId, () =>
      transaction(() =>
        note.batchTrigger([
          { payload: { tenantId } },
          { payload: { tenantId } },
          { payload: { tenantId }, options: { idempotencyKey: 'k' } },
        ]),
      ),
    )
    while (storedOf(tenantId).length < 3) await sleep(20)
    expect(storedOf(tenantId).map(({ status }) => status)).toEqual(['FAILED', 'FAILED', 'QUEUED'])
  })

  test.each([401, 403, 404])(
    'is kept when the answer is %i, for that is not because of the run',
    async (status) => {
      const tenantId = await newTenant()
      cloud.answerNext({ status, body: { error: 'no' } }, { matches: of(tenantId) })
      const { id } = await promise(tenantId)
      expect((await runs.get(id)).state).toBe('queued')
      while (storedOf(tenantId).length === 0) await sleep(20)
    },
  )

  test('and that it refuses for good has failed, and can be replayed', async () => {
    const tenantId = await newTenant()
    cloud.answerNext({ status: 422, body: { error: 'no such queue' } }, { matches: of(tenantId) })
    const { id } = await promise(tenantId)
    expect(await runs.get(id)).toMatchObject({
      state: 'failed',
      payload: { tenantId },
      error: { code: 'TRIGGER_REFUSED', message: /no such queue/ },
    })
    expect(logsOf(id).join()).toContain('replay it once that is mended')
    const { fingerprint, attempts } = await runs.get(id)
    expect(attempts).toMatchObject([{ attempt: 0, result: 'failed', error: { code: 'TRIGGER_REFUSED' } }])
    const { groups } = await failures.list({ tenantId })
    expect(groups).toMatchObject([{ fingerprint, errorCode: 'TRIGGER_REFUSED', last: { runId: id } }])
    expect(await runs.cancel(id)).toBe(false)
    const replay = await runs.replay(id)
    expect(await runs.get(replay.id)).toMatchObject({ state: 'queued', replayOf: id })
  })

  test('among many, of which Trigger.dev refuses one: only that one has failed', async () => {
    const tenantId = await newTenant()
    const bad = (request: ProviderRequest) =>
      request.text.includes(tenantId) &&
      request.text.includes('poison') &&
      /items$|trigger$/.test(request.path)
    cloud.answerNext({ status: 422, body: { error: 'no' } }, { matches: bad, times: 99 })
    const texts = ['a', 'b', 'poison', 'd', 'e']
    const handles = await withTenant(tenantId, () =>
      transaction(() => note.batchTrigger(texts.map((text) => ({ payload: { tenantId, text } })))),
    )
    const states = (await Promise.all(handles.map(({ id }) => runs.get(id)))).map(({ state }) => state)
    expect(states).toEqual(['queued', 'queued', 'failed', 'queued', 'queued'])
    expect(storedOf(tenantId)).toHaveLength(4)
  })
})
