import type { AssemblyAI } from 'assemblyai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ServiceClientClosedError } from '../../src/errors.ts'
import {
  AssemblyAIError,
  assemblyai,
  type TenantAssemblyAI,
  webhookAuthorization,
} from '../../src/services/assemblyai.ts'
import { AssemblyAIServer } from '../fixtures/providers/assemblyai.ts'
import { errorOf, onWire } from './kit.ts'
import { type WireSubject, wireBehaviour } from './wire-suite.ts'

const credentials = { api_key: 'assemblyai-key-of-the-fixture' }

let server: AssemblyAIServer

beforeEach(async () => {
  server = await new AssemblyAIServer().listen()
})

afterEach(async () => {
  await server.close()
})

function submit(client: AssemblyAI) {
  const { name, value } = webhookAuthorization(credentials.api_key, 'rawdog')
  return client.transcripts.submit({
    audio_url: 'https://files.example/clip.mp4',
    webhook_url: 'https://jobs.example/webhooks/rawdog/assemblyai',
    webhook_auth_header_name: name,
    webhook_auth_header_value: value,
  })
}

const subject: WireSubject<TenantAssemblyAI> = {
  service: assemblyai,
  credentials,
  server: () => server,
  call: submit,
  refusal: (status) => ({ status, body: { error: 'No.' } }),
  refusals: {
    permanent: [
      [400, 'http_400'],
      [404, 'http_404'],
      [422, 'http_422'],
    ],
    refused: [
      [401, 'http_401'],
      [403, 'http_403'],
    ],
    limited: [429, 'http_429'],
  },
  pages: { transient: [409, 500, 503, 529] },
  halfRefusal: 'its status',
}

const { connect, failureOf } = onWire(subject)

wireBehaviour(subject)

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
  it('an account that has not paid waits a while', async () => {
    const message = 'Your current account balance is negative. Please top up to continue using the API.'
    expect(await failureOf({ status: 400, body: { error: message } })).toEqual({
      kind: 'limited',
      code: 'balance_negative',
      message,
      retryAfterMs: 15 * 60_000,
    })
  })

  it('the error has the status, the headers and the code', async () => {
    server.answerNext({ status: 413, headers: { 'x-trace': '1' }, body: { error_code: 'audio_too_large' } })
    const error = await errorOf(submit(connect().client))
    if (!(error instanceof AssemblyAIError)) throw error
    expect(error).toMatchObject({ name: 'AssemblyAIError', status: 413, code: 'audio_too_large' })
    expect(error.headers?.get('x-trace')).toBe('1')
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
