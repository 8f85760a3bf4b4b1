import type { AssemblyAI } from 'assemblyai'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { enterScope } from '../../src/db/scope.ts'
import {
  RunCancelledError,
  RunTimeoutError,
  ServiceClientClosedError,
  ServiceHeldError,
} from '../../src/errors.ts'
import {
  AssemblyAIError,
  assemblyai,
  type TenantAssemblyAI,
  webhookAuthorization,
} from '../../src/services/assemblyai.ts'
import { Wire, type WireOptions } from '../../src/services/wire.ts'
import { AssemblyAIServer } from '../fixtures/providers/assemblyai.ts'
import type { ProviderAnswer } from '../fixtures/providers/server.ts'

const credentials = { api_key: 'assemblyai-key-of-the-fixture' }

let server: AssemblyAIServer

beforeEach(async () => {
  server = await new AssemblyAIServer().listen()
})

afterEach(async () => {
  await server.close()
})

function connect(options: Partial<WireOptions> = {}): { client: TenantAssemblyAI; wire: Wire } {
  const { timeoutMs = 5_000, pass = null } = options
  const wire = new Wire({ service: 'assemblyai', tenantId: 'rawdog', timeoutMs, pass })
  const connection = {
    credentials,
    tenantId: 'rawdog',
    baseUrl: server.url,
    timeoutMs,
    wire,
    webhookUrl: null,
  }
  return { client: assemblyai.connect(connection), wire }
}

function submit(client: AssemblyAI) {
  const { name, value } = webhookAuthorization(credentials.api_key, 'rawdog')
  return client.transcripts.submit({
    audio_url: 'https://files.example/clip.mp4',
    webhook_url: 'https://jobs.example/webhooks/rawdog/assemblyai',
    webhook_auth_header_name: name,
    webhook_auth_header_value: value,
  })
}

async function errorOf(work: PromiseLike<unknown>): Promise<unknown> {
  return await Promise.resolve(work).then(
    () => expect.fail('It succeeded.'),
    (error: unknown) => error,
  )
}

async function failureOf(answer: ProviderAnswer, timeoutMs = 5_000) {
  server.requests.length = 0
  server.answerNext(answer)
  const error = await errorOf(submit(connect({ timeoutMs }).client))
  expect(server.requests).toHaveLength(1)
  expect(String(error)).not.toContain(credentials.api_key)
  return assemblyai.readError(error)
}

describe('the client', () => {
  it('submits, and gets the transcript when it is done', async () => {
    const { client } = connect()
    const { id, status } = await submit(client)
    expect(status).toBe('queued')
    server.process(id)
    expect((await client.transcripts.get(id)).status).toBe('processing')

    server.complete(id, { text: 'Good morning everyone' })
    expect(await client.transcripts.get(id)).toMatchObject({
      status: 'completed',
      text: 'Good morning everyone',
      words: [{ text: 'Good', start: 0 }, { text: 'morning' }, { text: 'everyone', end: 1_400 }],
    })
  })

  it('gets what AssemblyAI says of an audio that it cannot read', async () => {
    const { client } = connect()
    const { id } = await submit(client)
    server.fail(id, 'Download error, unable to access file')
    expect(await client.transcripts.get(id)).toMatchObject({
      status: 'error',
      error: 'Download error, unable to access file',
    })
  })

  it('lists the newest first, page by page', async () => {
    const { client } = connect()
    const ids: string[] = []
    for (let index = 0; index < 3; index += 1) ids.unshift((await submit(client)).id)
    const first = await client.transcripts.list({ limit: 2 })
    const second = await client.transcripts.list(first.page_details.prev_url ?? '')
    expect([...first.transcripts, ...second.transcripts].map(({ id }) => id)).toEqual(ids)
    expect(second.page_details.prev_url).toBeNull()
  })

  it('is verified by one cheap request', async () => {
    const { client } = connect()
    await assemblyai.verify(client, credentials)
    expect(server.requests.map(({ method, path, query }) => `${method} ${path}?${query}`)).toEqual([
      'GET /v2/transcript?limit=1',
    ])

    server.keys = null
    expect(assemblyai.readError(await errorOf(assemblyai.verify(client, credentials)))).toEqual({
      kind: 'refused',
      code: 'http_401',
      message: 'Authentication error, API token missing/invalid',
    })
  })

  it('sends everything through the wire, whatever part of the SDK it comes from', async () => {
    const { client, wire } = connect()
    wire.close()
    const requests: Record<keyof AssemblyAI, () => Promise<unknown>> = {
      transcripts: () => client.transcripts.get('1'),
      files: () => client.files.upload(Buffer.from('audio')),
      realtime: () => client.realtime.createTemporaryToken({ expires_in: 60 }),
      streaming: () => client.streaming.createTemporaryToken({ expires_in_seconds: 60 }),
      sync: () => client.sync.transcribe(Buffer.alloc(200), { sample_rate: 16_000, channels: 1 }),
      dictation: () =>
        client.dictation.transcribeLive(Buffer.alloc(200), { sample_rate: 16_000, channels: 1 }),
      llmGateway: () => client.llmGateway.listModels(),
    }
    expect([...Object.keys(requests), 'webhook'].sort()).toEqual(Object.keys(client).sort())
    for (const send of Object.values(requests)) {
      expect(await errorOf(send())).toBeInstanceOf(ServiceClientClosedError)
    }
  })
})

describe('what goes wrong', () => {
  it.each([400, 404, 422])('%i is permanent, with what AssemblyAI says', async (status) => {
    expect(await failureOf({ status, body: { error: 'audio_url should start with http' } })).toEqual({
      kind: 'permanent',
      code: `http_${status}`,
      message: 'audio_url should start with http',
    })
  })

  it.each([401, 403])('%i is refused', async (status) => {
    expect(await failureOf({ status, body: { error: 'Authentication error' } })).toEqual({
      kind: 'refused',
      code: `http_${status}`,
      message: 'Authentication error',
    })
  })

  it.each([409, 500, 503, 529])('%i is transient, and the page of a proxy is not shown', async (status) => {
    expect(await failureOf({ status, body: '<html>' })).toEqual({
      kind: 'transient',
      code: `http_${status}`,
      message: `AssemblyAI answered ${status}.`,
    })
  })

  it('429 is limited, by seconds or a date', async () => {
    const limited = { status: 429, body: { error: 'Too many requests' } }
    expect(await failureOf({ ...limited, headers: { 'retry-after': '60' } })).toEqual({
      kind: 'limited',
      code: 'http_429',
      message: 'Too many requests',
      retryAfterMs: 60_000,
    })

    const date = new Date(Date.now() + 90_000).toUTCString()
    const failure = await failureOf({ ...limited, headers: { 'retry-after': date } })
    if (failure?.kind !== 'limited') throw new Error(`It is ${failure?.kind}.`)
    expect(failure.retryAfterMs).toBeGreaterThan(85_000)
    expect(failure.retryAfterMs).toBeLessThanOrEqual(90_000)
  })

  it('an account that has not paid waits a while', async () => {
    const message = 'Your current account balance is negative. Please top up to continue using the API.'
    expect(await failureOf({ status: 400, body: { error: message } })).toEqual({
      kind: 'limited',
      code: 'balance_negative',
      message,
      retryAfterMs: 15 * 60_000,
    })
  })

  it('no answer, a lost one and an unreadable one are transient', async () => {
    const transient = (code: string) => ({ kind: 'transient', code })
    expect(await failureOf({ instead: 'silence' }, 50)).toMatchObject(transient('timeout'))
    expect(await failureOf({ instead: 'reset' })).toMatchObject(transient('connection_error'))
    expect(await failureOf({ body: '{"id": ' })).toMatchObject(transient('unreadable_answer'))
  })

  it('the error has the status, the headers and the code, and is no one else’s', async () => {
    server.answerNext({ status: 413, headers: { 'x-trace': '1' }, body: { error_code: 'audio_too_large' } })
    const error = await errorOf(submit(connect().client))
    if (!(error instanceof AssemblyAIError)) throw error
    expect(error).toMatchObject({ name: 'AssemblyAIError', status: 413, code: 'audio_too_large' })
    expect(error.headers?.get('x-trace')).toBe('1')
    expect(assemblyai.readError(new Error('Authentication error'))).toBeNull()
    expect(assemblyai.readError(null)).toBeNull()
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
          const work = errorOf(submit(client))
          await vi.waitFor(() => expect(server.requests).toHaveLength(1))
          stop.abort(reason)
          throw await work
        }),
      )
      expect(assemblyai.readError(error)).toBeNull()
      expect(error).toBe(reason)
    },
  )

  it('a closed client sends nothing, and its error comes as it is', async () => {
    const { client, wire } = connect()
    wire.close()
    const error = await errorOf(submit(client))
    expect(assemblyai.readError(error)).toBeNull()
    expect(error).toBeInstanceOf(ServiceClientClosedError)
    expect(server.requests).toHaveLength(0)
  })

  it('so does one that is held', async () => {
    const pass = () => {
      throw new ServiceHeldError('rawdog', 'assemblyai', null)
    }
    const error = await errorOf(submit(connect({ pass }).client))
    expect(assemblyai.readError(error)).toBeNull()
    expect(error).toBeInstanceOf(ServiceHeldError)
    expect(server.requests).toHaveLength(0)
  })
})

describe('a webhook', () => {
  async function completed() {
    const { id } = await submit(connect().client)
    server.complete(id, { text: 'Good morning' })
    return { id, delivery: server.webhook(id) }
  }

  it('is opened with the header that was asked for at the submit', async () => {
    const { id, delivery } = await completed()
    expect(delivery.url).toBe('https://jobs.example/webhooks/rawdog/assemblyai')
    expect(await assemblyai.webhook?.open(delivery, credentials, 'rawdog')).toEqual({
      id: `${id}:completed`,
      type: 'transcript.completed',
      body: { transcript_id: id, status: 'completed' },
    })
  })

  it('is not opened for another tenant, not even one with the same key, nor with another key', async () => {
    const { delivery } = await completed()
    expect(await assemblyai.webhook?.open(delivery, credentials, 'acme')).toBeNull()
    expect(await assemblyai.webhook?.open(delivery, { api_key: 'another' }, 'rawdog')).toBeNull()
  })

  it('is not opened without the header', async () => {
    const { delivery } = await completed()
    const headers = new Headers({ 'content-type': 'application/json' })
    expect(await assemblyai.webhook?.open({ ...delivery, headers }, credentials, 'rawdog')).toBeNull()
  })

  it.each([
    '',
    'no JSON',
    'null',
    '[]',
    '7',
    '{"transcript_id":7,"status":"completed"}',
    '{"transcript_id":"1"}',
  ])('is garbage: %j', async (body) => {
    const { delivery } = await completed()
    expect(await assemblyai.webhook?.open({ ...delivery, body }, credentials, 'rawdog')).toBeNull()
  })

  it('the header says nothing of the key', () => {
    const { value } = webhookAuthorization(credentials.api_key, 'rawdog')
    expect(value).toMatch(/^[0-9a-f]{64}$/)
    expect(value).not.toBe(webhookAuthorization(credentials.api_key, 'acme').value)
  })
})

/** As a run has it, without a database. */
function scopeOf(signal: AbortSignal) {
  return { database: null as never, tenant: null, transaction: null, signal, ended: false }
}
