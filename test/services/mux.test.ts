import type { Mux } from '@mux/mux-node'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { mux } from '../../src/services/mux.ts'
import { MuxServer, signWebhook } from '../fixtures/providers/mux.ts'
import { errorOf, onWire, rootOf } from './kit.ts'
import { type WireSubject, wireBehaviour } from './wire-suite.ts'

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

function create(client: Mux) {
  return client.video.assets.create({
    inputs: [{ url: 'https://files.example/clip.mp4' }],
    playback_policies: ['public'],
    passthrough: 'video_1',
  })
}

const subject: WireSubject<Mux> = {
  service: mux,
  credentials,
  server: () => server,
  call: create,
  refusal: (status, type) => ({ status, body: { error: { type, messages: ['No.'] } } }),
  refusals: {
    permanent: [
      [400, 'invalid_parameters'],
      [404, 'invalid_parameters'],
      [422, 'invalid_parameters'],
    ],
    refused: [
      [401, 'unauthorized'],
      [403, 'unauthorized'],
    ],
    limited: [429, 'rate_limited'],
  },
  pages: { transient: [409, 500, 503, 529] },
  halfRefusal: 'its status',
  reasonOf: rootOf,
  withSignal: {
    call: (client, signal) => client.video.assets.list({ limit: 1 }, { signal }),
    error: 'of the SDK',
  },
}

const { connect } = onWire(subject)

wireBehaviour(subject)

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
