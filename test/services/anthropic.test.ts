import type Anthropic from '@anthropic-ai/sdk'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { enterScope } from '../../src/db/scope.ts'
import {
  RunCancelledError,
  RunTimeoutError,
  ServiceClientClosedError,
  ServiceHeldError,
} from '../../src/errors.ts'
import { anthropic } from '../../src/services/anthropic.ts'
import { Wire, type WireOptions } from '../../src/services/wire.ts'
import { AnthropicServer } from '../fixtures/providers/anthropic.ts'
import type { ProviderAnswer } from '../fixtures/providers/server.ts'

const credentials = { api_key: 'sk-ant-api03-key-of-the-fixture' }

let server: AnthropicServer

beforeEach(async () => {
  server = await new AnthropicServer().listen()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

function connect(options: Partial<WireOptions> = {}): { client: Anthropic; wire: Wire } {
  const { timeoutMs = 5_000, pass = null } = options
  const wire = new Wire({ service: 'anthropic', tenantId: 'rawdog', timeoutMs, pass })
  const connection = {
    credentials,
    tenantId: 'rawdog',
    baseUrl: server.url,
    timeoutMs,
    wire,
    webhookUrl: null,
  }
  return { client: anthropic.connect(connection), wire }
}

const question: Anthropic.MessageCreateParamsNonStreaming = {
  model: 'claude-haiku-4-5',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'A title for this transcript, please.' }],
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
  const error = await errorOf(connect({ timeoutMs }).client.messages.create(question))
  expect(server.requests).toHaveLength(1)
  return anthropic.readError(error)
}

function refusal(status: number, type: string, message: string, more: object = {}): ProviderAnswer {
  return { status, body: { type: 'error', error: { type, message, ...more }, request_id: 'req_1' } }
}

describe('the client', () => {
  it('gets a text, and what it cost', async () => {
    server.reply = { text: 'A walk in the park', usage: { input_tokens: 12, output_tokens: 5 } }
    const message = await connect().client.messages.create(question)
    expect(message.content).toMatchObject([{ type: 'text', text: 'A walk in the park' }])
    expect(message.usage).toMatchObject({ input_tokens: 12, output_tokens: 5 })
  })

  it('gets a call of a tool that it offered', async () => {
    server.reply = { tool: 'save', input: { title: 'A walk' } }
    const tools: Anthropic.Tool[] = [{ name: 'save', input_schema: { type: 'object' } }]
    const message = await connect().client.messages.create({ ...question, tools })
    expect(message).toMatchObject({
      stop_reason: 'tool_use',
      content: [{ type: 'tool_use', name: 'save', input: { title: 'A walk' } }],
    })
  })

  it('is verified by one cheap request', async () => {
    const { client } = connect()
    await anthropic.verify(client, credentials)
    expect(server.requests.map(({ method, path, query }) => `${method} ${path}?${query}`)).toEqual([
      'GET /v1/models?limit=1',
    ])

    server.keys = null
    expect(anthropic.readError(await errorOf(anthropic.verify(client, credentials)))).toEqual({
      kind: 'refused',
      code: 'authentication_error',
      message: 'invalid x-api-key',
    })
  })

  it('takes nothing from the environment of the process', async () => {
    vi.stubEnv('ANTHROPIC_API_KEY', 'sk-ant-somebody-else')
    vi.stubEnv('ANTHROPIC_AUTH_TOKEN', 'somebody-else')
    vi.stubEnv('ANTHROPIC_BASE_URL', 'http://127.0.0.1:1')
    vi.stubEnv('ANTHROPIC_WEBHOOK_SIGNING_KEY', 'somebody-else')
    vi.stubEnv('ANTHROPIC_CUSTOM_HEADERS', 'Authorization: Bearer somebody-else\nX-Stray: 1')
    vi.stubEnv('ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE', 'content')
    const { client } = connect()
    await client.messages.create(question)
    expect(server.requests[0]?.headers).not.toHaveProperty('x-stray')
    expect(JSON.stringify(server.requests[0]?.headers)).not.toContain('somebody-else')
    expect([client.webhookKey, client.authToken]).toEqual([null, null])
    expect(client.openTelemetry.traces.contentMode).toBe('metadata_only')
  })

  it.each(['sk-ant-api03-abc_DEF-123', 'sk-ant-admin01-x'])('a key may look like %s', (key) => {
    expect(anthropic.keys.api_key?.pattern?.test(key)).toBe(true)
  })

  it.each(['', 'sk_live_123', 'sk-ant-', 'sk-ant-a b', 'sk-ant-a\n'])('a key cannot be %j', (key) => {
    expect(anthropic.keys.api_key?.pattern?.test(key)).toBe(false)
  })
})

describe('what goes wrong', () => {
  it.each([
    [400, 'invalid_request_error'],
    [404, 'not_found_error'],
    [413, 'request_too_large'],
    [422, 'invalid_request_error'],
  ])('%i %s is permanent', async (status, type) => {
    expect(await failureOf(refusal(status, type, 'max_tokens: Field required'))).toEqual({
      kind: 'permanent',
      code: type,
      message: 'max_tokens: Field required',
    })
  })

  it.each([
    [401, 'authentication_error'],
    [403, 'permission_error'],
  ])('%i %s is refused', async (status, type) => {
    expect(await failureOf(refusal(status, type, 'No.'))).toEqual({
      kind: 'refused',
      code: type,
      message: 'No.',
    })
  })

  it.each([
    [409, 'conflict_error'],
    [500, 'api_error'],
    [503, 'api_error'],
    [504, 'timeout_error'],
    [529, 'overloaded_error'],
  ])('%i %s is transient', async (status, type) => {
    expect(await failureOf(refusal(status, type, 'Overloaded'))).toEqual({
      kind: 'transient',
      code: type,
      message: 'Overloaded',
    })
  })

  it('the page of a proxy is not shown', async () => {
    expect(await failureOf({ status: 502, body: '<html>secret</html>' })).toEqual({
      kind: 'transient',
      code: 'http_502',
      message: 'Anthropic answered 502.',
    })
  })

  it('429 is limited, by seconds or a date', async () => {
    const limited = refusal(429, 'rate_limit_error', 'Too many tokens')
    expect(await failureOf({ ...limited, headers: { 'retry-after': '11' } })).toEqual({
      kind: 'limited',
      code: 'rate_limit_error',
      message: 'Too many tokens',
      retryAfterMs: 11_000,
    })

    const date = new Date(Date.now() + 90_000).toUTCString()
    const failure = await failureOf({ ...limited, headers: { 'retry-after': date } })
    if (failure?.kind !== 'limited') throw new Error(`It is ${failure?.kind}.`)
    expect(failure.retryAfterMs).toBeGreaterThan(85_000)
    expect(failure.retryAfterMs).toBeLessThanOrEqual(90_000)
  })

  it.each([
    [400, 'invalid_request_error', 'Your credit balance is too low to access the Anthropic API.', {}],
    [400, 'invalid_request_error', 'You have reached your specified API usage limits.', {}],
    [402, 'billing_error', 'Check your payment details.', {}],
    [429, 'rate_limit_error', 'Limit.', { details: { error_code: 'contract_spend_limit_reached' } }],
  ])('%i %s "%s": an account that has not paid waits a while', async (status, type, message, more) => {
    expect(await failureOf(refusal(status, type, message, more))).toMatchObject({
      kind: 'limited',
      message,
      retryAfterMs: 15 * 60_000,
    })
  })

  it('an organization that was closed down is refused', async () => {
    const details = { error_code: 'organization_on_hold' }
    expect(await failureOf(refusal(400, 'invalid_request_error', 'On hold.', { details }))).toEqual({
      kind: 'refused',
      code: 'organization_on_hold',
      message: 'On hold.',
    })
  })

  it('a stream that breaks off says why', async () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
    server.answerNext({
      headers: { 'content-type': 'text/event-stream' },
      body: `event: error\ndata: ${JSON.stringify(error)}\n\n`,
    })
    const stream = await connect().client.messages.create({ ...question, stream: true })
    const broken = await errorOf(stream[Symbol.asyncIterator]().next())
    expect(anthropic.readError(broken)).toEqual({
      kind: 'transient',
      code: 'overloaded_error',
      message: 'Overloaded',
    })
  })

  it('no answer, a lost one and an unreadable one are transient', async () => {
    const transient = (code: string) => ({ kind: 'transient', code })
    expect(await failureOf({ instead: 'silence' }, 50)).toMatchObject(transient('timeout'))
    expect(await failureOf({ instead: 'reset' })).toMatchObject(transient('connection_error'))
    expect(await failureOf({ body: '{"id": "msg' })).toMatchObject(transient('unreadable_answer'))
  })

  it('an error of somebody else is not its own', () => {
    expect(anthropic.readError(new SyntaxError('Unexpected token'))).toBeNull()
    expect(anthropic.readError(new TypeError('fetch failed'))).toBeNull()
    expect(anthropic.readError(undefined)).toBeNull()
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
          const work = errorOf(client.messages.create(question))
          await vi.waitFor(() => expect(server.requests).toHaveLength(1))
          stop.abort(reason)
          throw await work
        }),
      )
      expect(anthropic.readError(error)).toBeNull()
      expect(rootOf(error)).toBe(reason)
    },
  )

  it('so does the signal that a task gives along', async () => {
    server.answerNext({ instead: 'silence' })
    const stop = new AbortController()
    const work = errorOf(connect().client.messages.create(question, { signal: stop.signal }))
    await vi.waitFor(() => expect(server.requests).toHaveLength(1))
    stop.abort()
    expect(anthropic.readError(await work)).toBeNull()
  })

  it('a closed client sends nothing, and its error is kept', async () => {
    const { client, wire } = connect()
    wire.close()
    const error = await errorOf(client.messages.create(question))
    expect(anthropic.readError(error)).toBeNull()
    expect(rootOf(error)).toBeInstanceOf(ServiceClientClosedError)
    expect(server.requests).toHaveLength(0)
  })

  it('so does one that is held, even for a tenant whose name sounds like a timeout', async () => {
    const pass = () => {
      throw new ServiceHeldError('timeout', 'anthropic', null)
    }
    const error = await errorOf(connect({ pass }).client.messages.create(question))
    expect(anthropic.readError(error)).toBeNull()
    expect(rootOf(error)).toBeInstanceOf(ServiceHeldError)
    expect(server.requests).toHaveLength(0)
  })
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
