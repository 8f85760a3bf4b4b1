import { Resend } from 'resend'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ResendError, resend } from '../../src/services/resend.ts'
import type { ResendClient } from '../../src/services/resend-client.ts'
import { ResendServer, signWebhook } from '../fixtures/providers/resend.ts'
import type { ProviderAnswer } from '../fixtures/providers/server.ts'
import { errorOf, onWire } from './kit.ts'
import { type WireSubject, wireBehaviour } from './wire-suite.ts'

const credentials = {
  api_key: 're_key_of_the_fixture',
  from_address: 'Shop <hello@shop.test>',
  webhook_secret: `whsec_${Buffer.from('resend-webhook-secret').toString('base64')}`,
}

let server: ResendServer

beforeEach(async () => {
  server = await new ResendServer(credentials.api_key).listen()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

function send(client: ResendClient, { subject = 'Your order', ...options }: SendOptions = {}) {
  const email = { from: client.fromAddress, to: 'ada@example.com', subject, text: 'Thank you.' }
  return client.emails.send(email, options)
}

interface SendOptions {
  subject?: string
  idempotencyKey?: string
  signal?: AbortSignal
}

function refusal(statusCode: number, name: string, message: string, headers = {}): ProviderAnswer {
  return { status: statusCode, headers, body: { statusCode, name, message } }
}

const subject: WireSubject<ResendClient> = {
  service: resend,
  credentials,
  server: () => server,
  call: (client) => send(client),
  refusal: (status, name) => refusal(status, name, 'No.'),
  refusals: {
    permanent: [
      [400, 'validation_error'],
      [400, 'invalid_idempotency_key'],
      [404, 'not_found'],
      [405, 'method_not_allowed'],
      [422, 'missing_required_field'],
      [422, 'invalid_from_address'],
      [451, 'security_error'],
      // The key is taken, but not for this.
      [401, 'restricted_api_key'],
    ],
    limited: [429, 'rate_limit_exceeded'],
  },
  pages: { refused: [401, 403], transient: [500, 502, 503] },
  wordlessBodies: ['{"message":7,"name":null}'],
  halfRefusal: 'what broke it off',
  withSignal: { call: (client, signal) => client.get('/domains', { signal }), error: 'the reason' },
}

const { connect, failureOf } = onWire(subject)

wireBehaviour(subject)

describe('the client', () => {
  it('is the SDK’s own and sends an email', async () => {
    const { client } = connect()
    expect(client).toBeInstanceOf(Resend)
    const { data, error } = await send(client)
    expect(error).toBeNull()
    expect(server.emails).toMatchObject([
      { id: data?.id, from: credentials.from_address, to: ['ada@example.com'] },
    ])
    expect((await client.emails.get(data!.id)).data).toMatchObject({
      subject: 'Your order',
      last_event: 'sent',
    })
  })

  it('sends a batch, all or none', async () => {
    const { client } = connect()
    const email = { from: client.fromAddress, to: 'ada@example.com', subject: 'One', text: 'One.' }
    const { data } = await client.batch.send([email, { ...email, subject: 'Two' }])
    expect(data?.data).toEqual(server.emails.map(({ id }) => ({ id })))
    const bad = { ...email, to: 'nobody' }
    expect(resend.readError(await errorOf(client.batch.send([email, bad])))).toMatchObject({
      kind: 'permanent',
    })
    expect(server.emails).toHaveLength(2)
  })

  it('takes nothing from the environment of the process', async () => {
    vi.stubEnv('RESEND_API_KEY', 're_of_somebody_else')
    vi.stubEnv('RESEND_BASE_URL', 'http://127.0.0.1:1')
    vi.stubEnv('RESEND_USER_AGENT', 'somebody-else')
    await send(connect().client)
    expect(server.requests[0]?.headers).toMatchObject({
      authorization: `Bearer ${credentials.api_key}`,
      'user-agent': 'cgk-platform-jobs',
    })
  })

  it('never makes of an id the path of another endpoint', async () => {
    const error = await errorOf(connect().client.emails.get('..'))
    expect(resend.readError(error)).toMatchObject({ kind: 'permanent', code: 'invalid_parameter' })
    expect(server.requests).toHaveLength(0)
  })
})

describe('verification', () => {
  it('is one cheap request', async () => {
    await resend.verify(connect().client, credentials)
    expect(server.requests.map(({ method, path, query }) => `${method} ${path}?${query}`)).toEqual([
      'GET /domains?limit=1',
    ])
  })

  it('takes a key that may only send', async () => {
    server.sendingKeys.add(credentials.api_key)
    await resend.verify(connect().client, credentials)
    expect(server.requests).toHaveLength(1)
  })

  it('does not take a key that was revoked', async () => {
    server.keys.clear()
    expect(resend.readError(await errorOf(resend.verify(connect().client, credentials)))).toEqual({
      kind: 'refused',
      code: 'validation_error',
      message: 'API key is invalid',
    })
  })
})

describe('an idempotency key', () => {
  it('sends one email, whatever becomes of the answer', async () => {
    const { client } = connect()
    server.loseAnswer()
    expect(resend.readError(await errorOf(send(client, { idempotencyKey: 'entry_1' })))).toMatchObject({
      kind: 'transient',
    })
    const { data } = await send(client, { idempotencyKey: 'entry_1' })
    expect(server.emails.map(({ id }) => id)).toEqual([data?.id])
  })

  it('is for one email: another one is permanent', async () => {
    const { client } = connect()
    await send(client, { idempotencyKey: 'entry_1' })
    const error = await errorOf(send(client, { idempotencyKey: 'entry_1', subject: 'Another' }))
    expect(resend.readError(error)).toMatchObject({ kind: 'permanent', code: 'invalid_idempotent_request' })
    expect(server.emails).toHaveLength(1)
  })

  it('in use at that moment is transient', async () => {
    const { client } = connect()
    const resume = server.pause()
    const first = send(client, { idempotencyKey: 'entry_1' })
    await vi.waitFor(() => expect(server.requests).toHaveLength(1))
    const error = await errorOf(send(client, { idempotencyKey: 'entry_1' }))
    expect(resend.readError(error)).toMatchObject({
      kind: 'transient',
      code: 'concurrent_idempotent_requests',
    })
    resume()
    await first
    expect(server.emails).toHaveLength(1)
  })
})

describe('what goes wrong', () => {
  it('is thrown, with all that Resend says and nothing of the request', async () => {
    const { client } = connect()
    server.verifiedDomains.clear()
    const error = await errorOf(send(client))
    expect(error).toBeInstanceOf(ResendError)
    expect(error).toMatchObject({ status: 403, code: 'validation_error', headers: expect.any(Headers) })
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(credentials.api_key)
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('ada@example.com')
    // The domain, not the key.
    expect(resend.readError(error)).toMatchObject({ kind: 'permanent', code: 'validation_error' })
  })

  it.each([
    [401, 'missing_api_key', 'Missing API Key'],
    [403, 'invalid_api_key', 'API key is invalid'],
    [401, 'validation_error', 'API key is invalid'],
    [400, 'validation_error', 'API key is invalid'],
  ])('%i %s: %s is refused', async (status, name, message) => {
    expect(await failureOf(refusal(status, name, message))).toEqual({ kind: 'refused', code: name, message })
  })

  it.each(['daily_quota_exceeded', 'monthly_quota_exceeded'])(
    '%s is asked again in an hour',
    async (name) => {
      const headers = { 'retry-after': '1' }
      expect(await failureOf(refusal(429, name, 'You have reached your quota.', headers))).toEqual({
        kind: 'limited',
        code: name,
        message: 'You have reached your quota.',
        retryAfterMs: 3_600_000,
      })
    },
  )
})

describe('a webhook', () => {
  const open = (delivery: ReturnType<typeof signWebhook>, secrets: Record<string, string> = credentials) =>
    resend.webhook?.open(delivery, secrets, 'rawdog')

  async function bounced() {
    await send(connect().client)
    return server.event('email.bounced', server.emails[0]!, {
      bounce: { type: 'Permanent', subType: 'General', message: 'No such mailbox.' },
    })
  }

  it('is opened with the secret of the tenant', async () => {
    const event = await bounced()
    expect(await open(signWebhook(event, credentials.webhook_secret, { id: 'msg_1' }))).toEqual({
      id: 'msg_1',
      type: 'email.bounced',
      body: event,
    })
  })

  it('is not opened with another secret, without one, changed, or late', async () => {
    const event = await bounced()
    const good = signWebhook(event, credentials.webhook_secret)
    const another = `whsec_${Buffer.from('of-somebody-else').toString('base64')}`
    expect(await open(signWebhook(event, another))).toBeNull()
    const { webhook_secret, ...without } = credentials
    expect(await open(good, without)).toBeNull()
    expect(await open(good, { ...without, webhook_secret: '' })).toBeNull()
    expect(await open({ ...good, body: good.body.replace('bounced', 'bounceD') })).toBeNull()
    for (const minutes of [-6, 6]) {
      const at = new Date(Date.now() + minutes * 60_000)
      expect(await open(signWebhook(event, webhook_secret, { at }))).toBeNull()
    }
  })

  it('has the id that was signed', async () => {
    const good = signWebhook(await bounced(), credentials.webhook_secret)
    const headers = new Headers(good.headers)
    headers.set('svix-id', 'msg_of_another_event')
    expect(await open({ ...good, headers })).toBeNull()
  })

  it.each<[string, Record<string, string>]>([
    ['no header', {}],
    ['empty headers', { 'svix-id': '', 'svix-timestamp': '', 'svix-signature': '' }],
    ['headers of something else', { 'svix-id': 'x', 'svix-timestamp': 'y', 'svix-signature': 'v1,,z v2' }],
    [
      'no signature',
      { 'svix-id': 'x', 'svix-timestamp': `${Math.floor(Date.now() / 1_000)}`, 'svix-signature': 'v1' },
    ],
  ])('is garbage: %s', async (_, headers) => {
    expect(await open({ headers: new Headers(headers), body: '{}' })).toBeNull()
  })

  it.each(['', 'no JSON', 'null', '[]', '{"type":7}'])('is signed garbage: %j', async (body) => {
    expect(await open(signWebhook(body, credentials.webhook_secret))).toBeNull()
  })
})

describe('a credential', () => {
  const takes = (key: string, value: string) => resend.keys[key]?.pattern?.test(value)

  it.each(['hello@shop.test', 'Shop <hello@shop.test>', 'Ben & Söhne, Ltd. <hello@mail.shop.test>'])(
    'sends from %s',
    (address) => expect(takes('from_address', address)).toBe(true),
  )

  it.each([
    'shop.test',
    'Shop hello@shop.test',
    'Shop <hello@shop>',
    '<a@b.test> <c@d.test>',
    'a@b.test, c@d.test',
  ])('does not send from %s', (address) => expect(takes('from_address', address)).toBe(false))

  it('looks like one', () => {
    expect([takes('api_key', credentials.api_key), takes('api_key', 'sk_test_1')]).toEqual([true, false])
    expect(takes('webhook_secret', credentials.webhook_secret)).toBe(true)
    expect(takes('webhook_secret', 'whsec_?')).toBe(false)
  })
})
