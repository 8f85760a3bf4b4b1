/** The client of apps without a database, against the API as it is, and against networks as they are. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { runs } from '@cgk-platform/jobs'
import {
  type ClientRunDetails,
  createJobsClient,
  type JobsClientOptions,
  JobsHttpError,
  JobsUnreachableError,
  JobsWaitTimeoutError,
} from '@cgk-platform/jobs/client'
import { getRequestListener } from '@hono/node-server'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { Connection } from '../../../src/client/connection.ts'
import type { runDetailsSchema } from '../../../src/http/api/run-schemas.ts'
import { createLogger } from '../../../src/log.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { app, keyText, kit, onPlatform } from './kit.ts'

const greet = defineTask({
  id: 'client/greet',
  payload: tenantPayload({ name: z.string(), times: z.number().default(1) }),
  run: ({ name }, { logger }) => {
    logger.info('Greeting')
    return `Hello ${name}`
  },
})
const count = defineTask({ id: 'client/count', payload: tenantPayload({ to: z.number() }), run: () => null })
const registry = [greet, count] as const

onPlatform({ tasks: [...registry], logger: createLogger('info', { write: () => {} }) })

let tenantId: string
let key: string
let api: RequestListener
beforeAll(async () => {
  tenantId = await kit.tenant()
  key = await keyText(tenantId, ['runs:read', 'runs:trigger', 'runs:cancel', 'payload:read'])
  api = getRequestListener((request) => app.fetch(request))
})

const servers: Server[] = []
afterEach(() => {
  vi.useRealTimers()
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

const bodyOf = async (request: IncomingMessage) => await new Response(request as never).text()

async function listenAt(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}/api/v1`
}

/** A client of a server that answers so; as the API does by default. */
async function clientOf(listener: RequestListener = api, options: Partial<JobsClientOptions> = {}) {
  return createJobsClient<typeof registry>({ url: await listenAt(listener), key, ...options })
}

async function connectionOf(listener: RequestListener): Promise<Connection> {
  const url = await listenAt(listener)
  return new Connection({ url, key, fetch: globalThis.fetch, timeoutMs: 5_000, maxAttempts: 4 })
}

describe('against the API', () => {
  test('waits no longer than it is told, also where nobody answers', async () => {
    const silent = await clientOf(() => {})
    const from = performance.now()
    const id = '00000000-0000-4000-8000-000000000000'
    await expect(silent.runs.wait(id, { timeoutMs: 300 })).rejects.toThrow(JobsWaitTimeoutError)
    expect(performance.now() - from).toBeLessThan(2_000)
  })

  test('triggers, waits, reads, lists, and reads logs', async () => {
    const client = await clientOf()
    const { id } = await client.tasks.trigger('client/greet', { tenantId, name: 'Ada' }, { tags: ['first'] })
    const worker = await kit.platform.startWorker()
    const run = await client.runs.wait(id)
    await worker.stop()
    expect(run).toMatchObject({ id, state: 'completed', output: 'Hello Ada', attempts: [], tags: ['first'] })
    expect(await client.runs.get(id)).toEqual(run)
    const found = await client.runs.list({
      task: 'client/greet',
      state: ['completed', 'failed'],
      tag: 'first',
      from: new Date(run.createdAt),
      limit: 1,
    })
    expect(found.runs.map((one) => one.id)).toEqual([id])
    expect(await client.runs.logs(id)).toMatchObject({ lines: [{ seq: 1, message: 'Greeting' }], written: 1 })
    expect(await client.runs.logs(id, { after: 1 })).toMatchObject({ lines: [] })
  })

  test('triggers a batch, in order', async () => {
    const client = await clientOf()
    const handles = await client.tasks.batchTrigger('client/count', [
      { payload: { tenantId, to: 1 } },
      { payload: { tenantId, to: 2 }, options: { delay: '1h' } },
    ])
    const made = await Promise.all(handles.map(({ id }) => runs.get(id)))
    expect(made).toMatchObject([{ payload: { to: 1 } }, { payload: { to: 2 }, state: 'scheduled' }])
    expect(await client.tasks.batchTrigger('client/count', [])).toEqual([])
  })

  test('cancels', async () => {
    const client = await clientOf()
    const { id } = await client.tasks.trigger('client/count', { tenantId, to: 1 }, { runAt: inAnHour() })
    expect(await client.runs.cancel(id)).toBe(true)
    expect(await client.runs.cancel(id)).toBe(false)
    expect(await client.runs.wait(id)).toMatchObject({ state: 'cancelled' })
  })

  test('gives up waiting when it is told to', async () => {
    const client = await clientOf()
    const { id } = await client.tasks.trigger('client/count', { tenantId, to: 1 }, { delay: '1h' })
    await expect(client.runs.wait(id, { timeoutMs: 1 })).rejects.toThrow(JobsWaitTimeoutError)
    const leaving = new AbortController()
    const waiting = client.runs.wait(id, { signal: leaving.signal })
    leaving.abort(new Error('Leaving'))
    await expect(waiting).rejects.toThrow('Leaving')
  })

  test('says what the API refuses, and why', async () => {
    const client = await clientOf()
    const wrong = { tenantId, name: 5 as unknown as string }
    await expect(client.tasks.trigger('client/greet', wrong)).rejects.toMatchObject({
      name: 'JobsHttpError',
      status: 422,
      code: 'PAYLOAD_INVALID',
      issues: [{ path: 'name' }],
    })
    const foreign = await kit.tenant()
    const refused = await client.tasks
      .trigger('client/greet', { tenantId: foreign, name: 'Ada' })
      .catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(JobsHttpError)
    expect(refused).toMatchObject({ status: 403, code: 'FORBIDDEN', issues: [] })
    const stranger = await clientOf(api, { key: `${key}x` })
    await expect(stranger.runs.list()).rejects.toMatchObject({ status: 401 })
  })
})

describe('on a network that fails', () => {
  test('an answer that is lost on its way makes no second run', async () => {
    let cut = 0
    const client = await clientOf(async (request, response) => {
      if (request.method !== 'POST' || cut > 0) return void api(request, response)
      cut += 1
      // The request arrives and is done; its answer does not arrive.
      response.end = () => response.destroy() as never
      response.writeHead = () => response
      await api(request, response)
    })
    const tag = 'lost-answer'
    const { id } = await client.tasks.trigger('client/greet', { tenantId, name: 'Ada' }, { tags: [tag] })
    expect(cut).toBe(1)
    expect((await runs.list({ tenantId, tag })).runs.map((run) => run.id)).toEqual([id])
  })

  test('a request that arrives once more when it has long been given up makes none either', async () => {
    const late: { headers: Record<string, string>; sent: string }[] = []
    const client = await clientOf(async (request, response) => {
      if (request.method !== 'POST' || late.length > 0) return void api(request, response)
      const { authorization = '', 'idempotency-key': idempotencyKey } = request.headers
      late.push({
        headers: {
          authorization,
          'idempotency-key': String(idempotencyKey),
          'content-type': 'application/json',
        },
        sent: await bodyOf(request),
      })
      request.socket.destroy()
    })
    const tag = 'late-request'
    const handles = await client.tasks.batchTrigger('client/greet', [
      { payload: { tenantId, name: 'Ada' }, options: { tags: [tag] } },
      { payload: { tenantId, name: 'Bob' }, options: { tags: [tag] } },
    ])
    await kit.drain()
    const { headers, sent } = late[0]!
    const answer = await app.request('/api/v1/runs/batch', { method: 'POST', headers, body: sent })
    expect(await answer.json()).toEqual({ ids: handles.map(({ id }) => id) })
    expect((await runs.list({ tenantId, tag })).runs).toHaveLength(2)
  })

  test('each call has a key of its own', async () => {
    const keys: unknown[] = []
    const client = await clientOf((request, response) => {
      keys.push(request.headers['idempotency-key'])
      void api(request, response)
    })
    const payload = { tenantId, name: 'Ada' }
    const handles = [
      await client.tasks.trigger('client/greet', payload),
      await client.tasks.trigger('client/greet', payload),
    ]
    expect(new Set(handles.map(({ id }) => id)).size).toBe(2)
    expect(new Set(keys).size).toBe(2)
  })

  test('a try that takes too long is given up for another', async () => {
    let tries = 0
    const client = await clientOf(
      (request, response) => {
        tries += 1
        if (tries > 1) void api(request, response)
      },
      { timeoutMs: 500 },
    )
    expect(await client.runs.list({ limit: 1 })).toMatchObject({ runs: expect.any(Array) })
    expect(tries).toBe(2)
  })

  test('where nobody listens it says so, after all tries, and without the key', async () => {
    const fetch = vi.fn(() => Promise.reject(new TypeError('fetch failed')))
    const client = createJobsClient({ url: 'http://127.0.0.1:1/api/v1', key, fetch, maxAttempts: 2 })
    const error = await client.runs.list().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(JobsUnreachableError)
    expect(error).toMatchObject({ code: 'JOBS_UNREACHABLE', cause: { message: 'fetch failed' } })
    expect(fetch).toHaveBeenCalledTimes(2)
    expect(String(error)).not.toContain(key)
  })
})

describe('a server that breaks', () => {
  /** Answers the first tries of each path so, and then as the API does. */
  function broken(status: number, times: number, headers: Record<string, string> = {}) {
    const seen: { at: number; key: unknown }[] = []
    const listener: RequestListener = (request, response) => {
      seen.push({ at: Date.now(), key: request.headers['idempotency-key'] })
      if (seen.length > times) return void api(request, response)
      request.resume().on('end', () => response.writeHead(status, headers).end('<h1>Something broke</h1>'))
    }
    return { seen, listener }
  }

  test.each([500, 502, 504])('is asked again after %d, by what is safe to repeat', async (status) => {
    const reading = broken(status, 2)
    expect(await (await clientOf(reading.listener)).runs.list({ limit: 1 })).toMatchObject({
      runs: expect.any(Array),
    })
    expect(reading.seen).toHaveLength(3)

    const triggering = broken(status, 1)
    const tag = `after-${status}`
    const client = await clientOf(triggering.listener)
    const { id } = await client.tasks.trigger(
      'client/count',
      { tenantId, to: 1 },
      { delay: '1h', tags: [tag] },
    )
    const [first, second] = triggering.seen
    expect(first!.key).toMatch(/^[\w-]{36}$/)
    expect(second!.key).toBe(first!.key)
    expect((await runs.list({ tenantId, tag })).runs.map((run) => run.id)).toEqual([id])

    const cancelling = broken(status, 1)
    expect(await (await clientOf(cancelling.listener)).runs.cancel(id)).toBe(true)
    expect(cancelling.seen).toHaveLength(2)
  })

  test('is asked again when it has done the work and its answer broke, and does it once', async () => {
    let tries = 0
    const client = await clientOf(async (request, response) => {
      tries += 1
      if (tries > 1) return void api(request, response)
      const headers = new Headers(request.headers as Record<string, string>)
      await app.request('/api/v1/runs', { method: 'POST', headers, body: await bodyOf(request) })
      response.writeHead(504).end('<h1>Gateway timeout</h1>')
    })
    const tag = 'done-but-504'
    const { id } = await client.tasks.trigger(
      'client/count',
      { tenantId, to: 1 },
      { delay: '1h', tags: [tag] },
    )
    expect(tries).toBe(2)
    expect((await runs.list({ tenantId, tag })).runs.map((run) => run.id)).toEqual([id])
  })

  test.each([500, 502, 504])(
    'is asked four times in all after %d, no sooner than it asks',
    async (status) => {
      const { seen, listener } = broken(status, 9, { 'retry-after': '1' })
      const error = await (await clientOf(listener)).runs.list().catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ name: 'JobsHttpError', status })
      expect(seen).toHaveLength(4)
      for (const [one, { at }] of seen.slice(1).entries()) {
        expect(at - seen[one]!.at).toBeGreaterThanOrEqual(990)
      }
    },
  )

  test.each([
    [500, 1],
    [502, 1],
    [504, 1],
    [429, 2],
    [503, 2],
  ])(
    'is not asked twice for what is not safe to repeat, unless it did nothing: %d',
    async (status, tries) => {
      const { seen, listener } = broken(status, 1)
      const connection = await connectionOf(listener)
      const sent = connection.send({ method: 'POST', path: '/nowhere', body: {} })
      // The second is the API's own answer: that there is no such path.
      await expect(sent).rejects.toMatchObject({ status: tries === 1 ? status : 404 })
      expect(seen).toHaveLength(tries)
    },
  )

  test('nor where the connection breaks', async () => {
    let tries = 0
    const connection = await connectionOf((request) => {
      tries += 1
      request.socket.destroy()
    })
    const sent = connection.send({ method: 'POST', path: '/nowhere', body: {} })
    await expect(sent).rejects.toBeInstanceOf(JobsUnreachableError)
    expect(tries).toBe(1)
    await expect(connection.send({ method: 'GET', path: '/runs' })).rejects.toBeInstanceOf(
      JobsUnreachableError,
    )
    expect(tries).toBe(1 + 4)
  })
})

describe('a server that is busy', () => {
  /** Answers what it is given, then as it should; `advance` lets time pass for the client. */
  function busy(...answers: Response[]) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    const fetch = vi.fn(async () => answers.shift() ?? Response.json({ runs: [], next: null }))
    const client = createJobsClient({ url: 'https://jobs.test/api/v1', key, fetch })
    return { client, fetch }
  }

  const problem = (status: number, headers: Record<string, string> = {}) =>
    Response.json({ status, code: 'BUSY', detail: 'Busy.' }, { status, headers })

  test.each([429, 503])('is left alone for as long as it asks, after %d', async (status) => {
    const { client, fetch } = busy(problem(status, { 'retry-after': '7' }))
    const listing = client.runs.list()
    await vi.advanceTimersByTimeAsync(6_999)
    expect(fetch).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(fetch).toHaveBeenCalledTimes(2)
    expect(await listing).toEqual({ runs: [], next: null })
  })

  test('may say a time instead', async () => {
    const { client, fetch } = busy()
    const at = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 5_000)
    fetch.mockResolvedValueOnce(problem(503, { 'retry-after': at.toUTCString() }))
    const listing = client.runs.list()
    await vi.advanceTimersByTimeAsync(4_999)
    expect(fetch).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(1_001)
    await listing
  })

  test('that asks for more than a minute is not waited for', async () => {
    const { client, fetch } = busy(problem(429, { 'retry-after': '61' }))
    await expect(client.runs.list()).rejects.toMatchObject({ status: 429, code: 'BUSY' })
    expect(fetch).toHaveBeenCalledTimes(1)
  })

  test('is tried again ever later, four times in all', async () => {
    const { client, fetch } = busy(...Array.from({ length: 4 }, () => problem(503)))
    const listing = client.runs.list().catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(200)
    expect(fetch).toHaveBeenCalledTimes(2)
    await vi.advanceTimersByTimeAsync(1_200)
    expect(await listing).toMatchObject({ status: 503 })
    expect(fetch).toHaveBeenCalledTimes(4)
  })

  test.each([400, 401, 403, 404, 408, 409, 410, 422, 425, 501])('but not after %d', async (status) => {
    const { client, fetch } = busy(problem(status))
    await expect(client.runs.list()).rejects.toMatchObject({ status, code: 'BUSY', detail: 'Busy.' })
    expect(fetch).toHaveBeenCalledTimes(1)
  })

  test('what is no answer of the API is no answer', async () => {
    for (const answer of [
      new Response('<h1>Sign in to the Wi-Fi</h1>'),
      new Response('<h1>Not implemented</h1>', { status: 501 }),
      new Response(null, { status: 302, headers: { location: 'https://elsewhere.test/' } }),
    ]) {
      const { status } = answer
      const { client } = busy(answer)
      await expect(client.runs.list()).rejects.toMatchObject({ status, code: 'ANSWER_UNREADABLE' })
    }
  })

  test('sees the key in one header, and is never followed elsewhere', async () => {
    const { client, fetch } = busy()
    await client.runs.list({ id: 'a&b' })
    const [url, init] = fetch.mock.calls[0] as unknown as [string, RequestInit]
    expect(url).toBe('https://jobs.test/api/v1/runs?id=a%26b')
    expect(init).toMatchObject({ redirect: 'manual', headers: { authorization: `Bearer ${key}` } })
  })
})

test.each([
  [{ url: 'jobs.test', key: 'k' }, 'url'],
  [{ url: 'ftp://jobs.test', key: 'k' }, 'url'],
  [{ url: 'https://jobs.test', key: '' }, 'key'],
  [{ url: 'https://jobs.test', key: 'a\nb' }, 'key'],
  [{ url: 'https://jobs.test', key: 'k', timeoutMs: 0 }, 'timeoutMs'],
  [{ url: 'https://jobs.test', key: 'k', maxAttempts: 1.5 }, 'maxAttempts'],
])('refuses the options %j', (options, name) => {
  expect(() => createJobsClient(options)).toThrow(new RegExp(`^${name} must be`))
})

test('a payload without a JSON form is the caller’s mistake, and is not sent', async () => {
  const fetch = vi.fn()
  const client = createJobsClient({ url: 'https://jobs.test', key, fetch })
  await expect(client.tasks.trigger('a/b', { tenantId, n: 1n })).rejects.toThrow(TypeError)
  expect(fetch).not.toHaveBeenCalled()
})

describe('types', () => {
  test('a run is what the API describes', () => {
    type Described = z.output<typeof runDetailsSchema>
    const there: ClientRunDetails = {} as Described
    const back: Described = {} as ClientRunDetails
    expect([there, back]).toHaveLength(2)
  })

  test('ids and payloads are those of the registry', () => {
    const { tasks } = createJobsClient<typeof registry>({ url: 'https://jobs.test', key })
    const mistakes = () => [
      tasks.trigger('client/greet', { tenantId, name: 'Ada', times: 2 }),
      // @ts-expect-error There is no such task.
      tasks.trigger('client/typo', { tenantId, name: 'Ada' }),
      // @ts-expect-error A name is a text.
      tasks.trigger('client/greet', { tenantId, name: 5 }),
      // @ts-expect-error The name is missing.
      tasks.trigger('client/greet', { tenantId }),
      // @ts-expect-error Whose is it?
      tasks.trigger('client/greet', { name: 'Ada' }),
      // @ts-expect-error That is another task's payload.
      tasks.trigger('client/count', { tenantId, name: 'Ada' }),
      // @ts-expect-error There is no such option.
      tasks.trigger('client/count', { tenantId, to: 1 }, { dealy: '1h' }),
      // @ts-expect-error A batch is of one task.
      tasks.batchTrigger('client/count', [{ payload: { tenantId, name: 'Ada' } }]),
    ]
    expect(mistakes).toBeTypeOf('function')
  })
})

function inAnHour(): Date {
  return new Date(Date.now() + 3_600_000)
}
