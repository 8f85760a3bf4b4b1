import type { Mux } from '@mux/mux-node'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { enterScope } from '../../src/db/scope.ts'
import {
  RunCancelledError,
  RunTimeoutError,
  ServiceClientClosedError,
  ServiceHeldError,
} from '../../src/errors.ts'
import { mux } from '../../src/services/mux.ts'
import { Wire, type WireOptions } from '../../src/services/wire.ts'
import { MuxServer, signWebhook } from '../fixtures/providers/mux.ts'
import type { ProviderAnswer } from '../fixtures/providers/server.ts'

const credentials = {
  token_id: '44c819de-4add-4c9f-b2e9-384a0a71bede',
  token_secret: 'mux-token-secret-of-the-fixture',
  webhook_secret: 'mux-webhook-secret',
}

let server: MuxServer

beforeEach(async () => {
  server = await new MuxServer().listen()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

function connect(options: Partial<WireOptions> = {}): { client: Mux; wire: Wire } {
  const { timeoutMs = 5_000, pass = null } = options
  const wire = new Wire({ service: 'mux', tenantId: 'rawdog', timeoutMs, pass })
  const connection = {
    credentials,
    tenantId: 'rawdog',
    baseUrl: server.url,
    timeoutMs,
    wire,
    webhookUrl: null,
  }
  return { client: mux.connect(connection), wire }
}

function create(client: Mux) {
  return client.video.assets.create({
    inputs: [{ url: 'https://files.example/clip.mp4' }],
    playback_policies: ['public'],
    passthrough: 'video_1',
  })
}

async function errorOf(work: PromiseLike<unknown>): Promise<unknown> {
  return await Promise.resolve(work).then(
    () => expect.fail('It succeeded.'),
    (error: unknown) => error,
  )
}

async function failureOf(answer: ProviderAnswer, timeoutMs = 5_000) {
  server.answerNext(answer)
  const error = await errorOf(create(connect({ timeoutMs }).client))
  expect(server.requests).toHaveLength(1)
  return mux.readError(error)
}

function refusal(status: number, type: string, message: string, headers = {}): ProviderAnswer {
  return { status, headers, body: { error: { type, messages: [message] } } }
}

describe('the client', () => {
  it('makes an asset, finds it, and deletes it', async () => {
    const { client } = connect()
    const made = await create(client)
    expect(made).toMatchObject({ status: 'preparing', passthrough: 'video_1' })

    server.finish(made.id, { duration: 12.5 })
    expect(await client.video.assets.retrieve(made.id)).toMatchObject({ status: 'ready', duration: 12.5 })

    await client.video.assets.delete(made.id)
    expect(mux.readError(await errorOf(client.video.assets.retrieve(made.id)))).toMatchObject({
      kind: 'permanent',
      code: 'not_found',
    })
  })

  it('lists the newest first, page by page', async () => {
    const { client } = connect()
    const ids: string[] = []
    for (let index = 0; index < 5; index += 1) ids.unshift((await create(client)).id)
    const listed: string[] = []
    for await (const asset of client.video.assets.list({ limit: 2 })) listed.push(asset.id)
    expect(listed).toEqual(ids)
  })

  it('is verified by one cheap request', async () => {
    const { client } = connect()
    await mux.verify(client, credentials)
    expect(server.requests.map(({ method, path, query }) => `${method} ${path}?${query}`)).toEqual([
      'GET /video/v1/assets?limit=1',
    ])

    server.keys = null
    expect(mux.readError(await errorOf(mux.verify(client, credentials)))).toEqual({
      kind: 'refused',
      code: 'unauthorized',
      message: 'Unauthorized request',
    })
  })

  it('takes nothing from the environment of the process', async () => {
    vi.stubEnv('MUX_AUTHORIZATION_TOKEN', 'somebody-else')
    vi.stubEnv('MUX_CUSTOM_HEADERS', 'Authorization: Bearer somebody-else\nX-Stray: 1')
    vi.stubEnv('MUX_BASE_URL', 'http://127.0.0.1:1')
    vi.stubEnv('MUX_WEBHOOK_SECRET', 'somebody-else')
    vi.stubEnv('MUX_SIGNING_KEY', 'somebody-else')
    vi.stubEnv('MUX_PRIVATE_KEY', 'somebody-else')
    const { client } = connect()
    await create(client)
    expect(server.requests[0]?.headers).not.toHaveProperty('x-stray')
    expect(client.webhookSecret).toBe(credentials.webhook_secret)
    expect([client.jwtSigningKey, client.jwtPrivateKey, client.authorizationToken]).toEqual([
      null,
      null,
      null,
    ])
  })
})

describe('what goes wrong', () => {
  it.each([400, 404, 422])('%i is permanent, with what Mux says', async (status) => {
    expect(await failureOf(refusal(status, 'invalid_parameters', 'Bad url'))).toEqual({
      kind: 'permanent',
      code: 'invalid_parameters',
      message: 'Bad url',
    })
  })

  it.each([401, 403])('%i is refused', async (status) => {
    expect(await failureOf(refusal(status, 'unauthorized', 'Unauthorized request'))).toEqual({
      kind: 'refused',
      code: 'unauthorized',
      message: 'Unauthorized request',
    })
  })

  it.each([409, 500, 503, 529])('%i is transient', async (status) => {
    expect(await failureOf({ status, body: '<html>' })).toEqual({
      kind: 'transient',
      code: `http_${status}`,
      message: `Mux answered ${status}.`,
    })
  })

  it('429 is limited, by seconds or a date', async () => {
    const limited = refusal(429, 'rate_limited', 'Too many requests', { 'retry-after': '7' })
    expect(await failureOf(limited)).toEqual({
      kind: 'limited',
      code: 'rate_limited',
      message: 'Too many requests',
      retryAfterMs: 7_000,
    })

    server.requests.length = 0
    const date = new Date(Date.now() + 90_000).toUTCString()
    const failure = await failureOf({ status: 429, headers: { 'retry-after': date } })
    if (failure?.kind !== 'limited') throw new Error(`It is ${failure?.kind}.`)
    expect(failure.retryAfterMs).toBeGreaterThan(85_000)
    expect(failure.retryAfterMs).toBeLessThanOrEqual(90_000)
  })

  it('no answer, a lost one and an unreadable one are transient', async () => {
    expect(await failureOf({ instead: 'silence' }, 50)).toMatchObject({ kind: 'transient', code: 'timeout' })
    server.requests.length = 0
    expect(await failureOf({ instead: 'reset' })).toMatchObject({
      kind: 'transient',
      code: 'connection_error',
    })
    server.requests.length = 0
    expect(await failureOf({ body: '{"data": {' })).toMatchObject({
      kind: 'transient',
      code: 'unreadable_answer',
    })
  })

  it('an error of somebody else is not its own', () => {
    expect(mux.readError(new SyntaxError('Unexpected token'))).toBeNull()
    expect(mux.readError(new TypeError('fetch failed'))).toBeNull()
    expect(mux.readError('a text')).toBeNull()
  })
})

describe('what the platform or the task ends', () => {
  it.each([new RunCancelledError(), new RunTimeoutError(1_000), new DOMException('Aborted', 'AbortError')])(
    'an abort of the run reaches the request: %s',
    async (reason) => {
      server.answerNext({ instead: 'silence' })
      const { client } = connect()
      const stop = new AbortController()
      const error = await errorOf(
        enterScope(scopeOf(stop.signal), async () => {
          const work = errorOf(create(client))
          await vi.waitFor(() => expect(server.requests).toHaveLength(1))
          stop.abort(reason)
          throw await work
        }),
      )
      expect(mux.readError(error)).toBeNull()
      expect(rootOf(error)).toBe(reason)
    },
  )

  it('so does the signal that a task gives along', async () => {
    server.answerNext({ instead: 'silence' })
    const stop = new AbortController()
    const work = errorOf(connect().client.video.assets.list({ limit: 1 }, { signal: stop.signal }))
    await vi.waitFor(() => expect(server.requests).toHaveLength(1))
    stop.abort()
    expect(mux.readError(await work)).toBeNull()
  })

  it('a closed client sends nothing, and its error is kept', async () => {
    const { client, wire } = connect()
    wire.close()
    const error = await errorOf(create(client))
    expect(mux.readError(error)).toBeNull()
    expect(rootOf(error)).toBeInstanceOf(ServiceClientClosedError)
    expect(server.requests).toHaveLength(0)
  })

  it('so does one that is held, even for a tenant whose name sounds like a timeout', async () => {
    const pass = () => {
      throw new ServiceHeldError('timeout', 'mux', null)
    }
    const error = await errorOf(create(connect({ pass }).client))
    expect(mux.readError(error)).toBeNull()
    expect(rootOf(error)).toBeInstanceOf(ServiceHeldError)
    expect(server.requests).toHaveLength(0)
  })
})

describe('a webhook', () => {
  const open = (delivery: ReturnType<typeof signWebhook>, secrets: Record<string, string> = credentials) =>
    mux.webhook?.open(delivery, secrets, 'rawdog')

  async function ready() {
    const { id } = await create(connect().client)
    return server.finish(id, { duration: 3 })
  }

  it('is opened with the secret of the tenant', async () => {
    const event = await ready()
    expect(await open(signWebhook(event, credentials.webhook_secret))).toEqual({
      id: event.id,
      type: 'video.asset.ready',
      body: event,
    })
  })

  it('is not opened with another secret, without one, changed, or late', async () => {
    const event = await ready()
    const good = signWebhook(event, credentials.webhook_secret)
    expect(await open(signWebhook(event, 'of-somebody-else'))).toBeNull()
    expect(await open(good, { token_id: 'x', token_secret: 'y' })).toBeNull()
    expect(await open({ ...good, body: good.body.replace('ready', 'readY') })).toBeNull()
    const late = new Date(Date.now() - 6 * 60_000)
    expect(await open(signWebhook(event, credentials.webhook_secret, late))).toBeNull()
  })

  it.each([
    ['no header', new Headers(), '{}'],
    ['an empty header', new Headers({ 'mux-signature': '' }), '{}'],
    ['a header of something else', new Headers({ 'mux-signature': 't=x,v1=y,,=' }), '{}'],
    ['no body', new Headers({ 'mux-signature': `t=${Math.floor(Date.now() / 1_000)},v1=00` }), ''],
  ])('is garbage: %s', async (_, headers, body) => {
    expect(await open({ headers, body })).toBeNull()
  })

  it.each(['', 'no JSON', 'null', '[]', '{"id":7,"type":"video.asset.ready"}'])(
    'is signed garbage: %j',
    async (body) => {
      expect(await open(signWebhook(body, credentials.webhook_secret))).toBeNull()
    },
  )
})

/** As a run has it, without a database. */
function scopeOf(signal: AbortSignal) {
  return { database: null as never, tenant: null, transaction: null, signal, ended: false }
}

function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof Error && root.cause) root = root.cause
  return root
}
