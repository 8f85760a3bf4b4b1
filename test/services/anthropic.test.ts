import type Anthropic from '@anthropic-ai/sdk'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { anthropic } from '../../src/services/anthropic.ts'
import { AnthropicServer } from '../fixtures/providers/anthropic.ts'
import type { ProviderAnswer } from '../fixtures/providers/server.ts'
import { errorOf, onWire, rootOf } from './kit.ts'
import { type WireSubject, wireBehaviour } from './wire-suite.ts'

const credentials = { api_key: 'sk-ant-api03-key-of-the-fixture' }

let server: AnthropicServer

beforeEach(async () => {
  server = await new AnthropicServer().listen()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

const question: Anthropic.MessageCreateParamsNonStreaming = {
  model: 'claude-haiku-4-5',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'A title for this transcript, please.' }],
}

function refusal(status: number, type: string, message: string, more: object = {}): ProviderAnswer {
  return { status, body: { type: 'error', error: { type, message, ...more }, request_id: 'req_1' } }
}

const subject: WireSubject<Anthropic> = {
  service: anthropic,
  credentials,
  server: () => server,
  call: (client) => client.messages.create(question),
  refusal: (status, type) => refusal(status, type, 'No.'),
  refusals: {
    permanent: [
      [400, 'invalid_request_error'],
      [404, 'not_found_error'],
      [413, 'request_too_large'],
      [422, 'invalid_request_error'],
    ],
    refused: [
      [401, 'authentication_error'],
      [403, 'permission_error'],
    ],
    transient: [
      [409, 'conflict_error'],
      [500, 'api_error'],
      [503, 'api_error'],
      [504, 'timeout_error'],
      [529, 'overloaded_error'],
    ],
    limited: [429, 'rate_limit_error'],
  },
  pages: { transient: [502] },
  halfRefusal: 'its status',
  reasonOf: rootOf,
  withSignal: {
    call: (client, signal) => client.messages.create(question, { signal }),
    error: 'of the SDK',
  },
}

const { connect, failureOf } = onWire(subject)

wireBehaviour(subject)

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
})
