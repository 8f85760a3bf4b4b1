import Stripe from 'stripe'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { stripe } from '../../src/services/stripe.ts'
import { refuse, type StripeRefusal, StripeServer } from '../fixtures/providers/stripe.ts'
import { errorOf, onWire } from './kit.ts'
import { type WireSubject, wireBehaviour } from './wire-suite.ts'

const credentials = { secret_key: 'sk_test_fixture', webhook_secret: 'whsec_of_the_fixture' }

let server: StripeServer

beforeEach(async () => {
  server = await new StripeServer(credentials.secret_key).listen()
  server.addAccount('acct_creator')
})

afterEach(async () => {
  await server.close()
})

function transfer(
  client: Stripe,
  params: Partial<Stripe.TransferCreateParams> = {},
  idempotencyKey = 'payout_1',
) {
  return client.transfers.create(
    { amount: 12_345, currency: 'usd', destination: 'acct_creator', transfer_group: 'payout_1', ...params },
    { idempotencyKey },
  )
}

const subject: WireSubject<Stripe> = {
  service: stripe,
  credentials,
  server: () => server,
  call: (client) => transfer(client),
  expectNothingDone: () => expect(server.transfers.size).toBe(0),
  refusal: (status, code) => refuse({ status, code, message: 'No.' }),
  refusals: { limited: [429, 'rate_limit'] },
  pages: { refused: [403], permanent: [404], transient: [502] },
  wordlessBodies: ['{"message":"bad gateway"}'],
  halfRefusal: 'what broke it off',
  reasonOf,
  takesAbortForTimeout: true,
}

const { connect, failure, failureOf } = onWire(subject)

wireBehaviour(subject)

describe('the client', () => {
  it('moves money to a connected account', async () => {
    const { client } = connect()
    const made = await transfer(client, { metadata: { payout_id: 'payout_1' } })
    expect(made).toMatchObject({ amount: 12_345, currency: 'usd', metadata: { payout_id: 'payout_1' } })
    expect(server.available.get('usd')).toBe(1_000_000 - 12_345)
    expect(await client.transfers.retrieve(made.id)).toMatchObject({ id: made.id, reversed: false })

    await client.transfers.createReversal(made.id, { amount: 345 })
    expect(await client.transfers.retrieve(made.id)).toMatchObject({ amount_reversed: 345, reversed: false })
    server.reverseTransfer(made.id)
    expect(await client.transfers.retrieve(made.id)).toMatchObject({
      amount_reversed: 12_345,
      reversed: true,
    })
    expect((await client.transfers.listReversals(made.id)).data.map(({ amount }) => amount)).toEqual([
      12_000, 345,
    ])
    expect(server.available.get('usd')).toBe(1_000_000)
  })

  it('finds transfers by their group, their destination and their time', async () => {
    const { client } = connect()
    server.addAccount('acct_other')
    const first = await transfer(client)
    const second = await transfer(
      client,
      { destination: 'acct_other', transfer_group: 'payout_2' },
      'payout_2',
    )
    const ids = async (params: Stripe.TransferListParams) =>
      (await client.transfers.list(params)).data.map(({ id }) => id)

    expect(await ids({})).toEqual([second.id, first.id])
    expect(await ids({ transfer_group: 'payout_1' })).toEqual([first.id])
    expect(await ids({ destination: 'acct_other' })).toEqual([second.id])
    expect(await ids({ created: { gte: first.created } })).toHaveLength(2)
    expect(await ids({ created: { gt: second.created } })).toEqual([])
  })

  it('pages through top-ups, newest first', async () => {
    const made = [100, 200, 300, 400, 500].map((seconds) =>
      server.addTopup({ amount: seconds, created: 1_700_000_000 + seconds, status: 'succeeded' }),
    )
    server.addTopup({ amount: 1, status: 'failed', failure_code: 'insufficient_funds' })
    const { client } = connect()
    const listed: string[] = []
    for await (const topup of client.topups.list({ status: 'succeeded', limit: 2 })) listed.push(topup.id)
    expect(listed).toEqual(made.map(({ id }) => id).reverse())
    expect(server.requests.map(({ query }) => query.get('starting_after'))).toEqual([
      null,
      made[3]!.id,
      made[1]!.id,
    ])
    expect(await client.topups.retrieve(made[0]!.id)).toMatchObject({ amount: 100, status: 'succeeded' })
  })

  it('is verified by one cheap request', async () => {
    const { client } = connect()
    await stripe.verify(client, credentials)
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /v1/balance'])

    server.keys.delete(credentials.secret_key)
    const failure = stripe.readError(await errorOf(stripe.verify(client, credentials)))
    expect(failure).toMatchObject({ kind: 'refused', code: 'http_401' })
    expect(failure?.message).toMatch(/^Invalid API Key provided: sk_test_\*+/)
    expect(failure?.message).not.toContain(credentials.secret_key)
  })

  it('is served below a path by a proxy', async () => {
    const { client } = connect({ baseUrl: `${server.url}/proxy/stripe/` })
    await errorOf(client.balance.retrieve())
    expect(server.requests.map(({ path }) => path)).toEqual(['/proxy/stripe/v1/balance'])
  })

  it('tells Stripe nothing about earlier requests', async () => {
    const { client } = connect()
    await client.balance.retrieve()
    await client.balance.retrieve()
    expect(server.requests[1]?.headers).not.toHaveProperty('x-stripe-client-telemetry')
  })

  it.each(['sk_test_51Hx', 'sk_live_51Hx', 'rk_live_51Hx'])('takes a key like %s', (key) => {
    expect(key).toMatch(stripe.keys.secret_key!.pattern!)
  })

  it.each(['pk_live_51Hx', 'whsec_x', 'sk_live_', ' sk_live_51Hx', ''])('takes no key like %j', (key) => {
    expect(key).not.toMatch(stripe.keys.secret_key!.pattern!)
  })
})

describe('a repeat', () => {
  it('of a call whose answer was lost is answered the first one, once', async () => {
    const { client } = connect()
    server.loseAnswer()
    expect(stripe.readError(await errorOf(transfer(client)))).toMatchObject({ kind: 'transient' })
    const again = await transfer(client)
    expect([...server.transfers.keys()]).toEqual([again.id])
    const { headers } = again.lastResponse as unknown as Response
    expect(headers.get('idempotent-replayed')).toBe('true')
  })

  it('of a refusal is refused again, until Stripe has forgotten it', async () => {
    const { client } = connect()
    server.failTransfer({ status: 500, message: 'Something went wrong on our end.' })
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect(stripe.readError(await errorOf(transfer(client)))).toMatchObject({ kind: 'transient' })
    }
    server.forgetIdempotencyKeys()
    await transfer(client)
    expect(server.transfers.size).toBe(1)
  })

  it('with other parameters is permanent', async () => {
    const { client } = connect()
    await transfer(client)
    expect(stripe.readError(await errorOf(transfer(client, { amount: 99 })))).toMatchObject({
      kind: 'permanent',
      code: 'idempotency_error',
      message: expect.stringContaining('can only be used with the same parameters'),
    })
    expect(server.transfers.size).toBe(1)
  })

  it('while the first is under way is transient', async () => {
    const { client } = connect()
    const resume = server.pause()
    const first = transfer(client)
    await vi.waitFor(() => expect(server.requests).toHaveLength(1))
    expect(stripe.readError(await errorOf(transfer(client)))).toMatchObject({
      kind: 'transient',
      code: 'idempotency_key_in_use',
    })
    expect(server.requests).toHaveLength(2)
    resume()
    await first
    expect(server.transfers.size).toBe(1)
  })

  it('of what was never begun is a new call', async () => {
    const { client } = connect()
    expect(stripe.readError(await errorOf(transfer(client, { amount: 0 })))).toMatchObject({
      kind: 'permanent',
      code: 'parameter_invalid_integer',
    })
    await transfer(client)
    expect(server.transfers.size).toBe(1)
  })
})

describe('what Stripe refuses', () => {
  it.each<[string, StripeRefusal, object]>([
    [
      'an empty balance',
      { code: 'balance_insufficient' },
      { kind: 'permanent', code: 'balance_insufficient' },
    ],
    ['a declined card', { status: 402, code: 'card_declined' }, { kind: 'permanent', code: 'card_declined' }],
    [
      'a declined card, with a reason',
      { status: 402, code: 'card_declined', decline_code: 'insufficient_funds' },
      { kind: 'permanent', code: 'insufficient_funds' },
    ],
    [
      'what is not there',
      { status: 404, code: 'resource_missing' },
      { kind: 'permanent', code: 'resource_missing' },
    ],
    [
      'the permissions of a restricted key',
      { status: 403, code: 'more_permissions_required' },
      { kind: 'refused', code: 'more_permissions_required' },
    ],
    ['the key', { status: 401, code: 'api_key_expired' }, { kind: 'refused', code: 'api_key_expired' }],
    // The account that is called, not the key that calls.
    [
      'an account that is not ours',
      { status: 403, code: 'account_invalid' },
      { kind: 'permanent', code: 'account_invalid' },
    ],
    // Of the object, not of the rate.
    ['what is locked', { status: 429, code: 'lock_timeout' }, { kind: 'transient', code: 'lock_timeout' }],
    ['a conflict', { status: 409 }, { kind: 'transient', code: 'http_409' }],
    ['a failure behind it', { status: 424 }, { kind: 'transient', code: 'http_424' }],
    ['an error of its own', { status: 500 }, { kind: 'transient', code: 'http_500' }],
    ['an outage', { status: 503 }, { kind: 'transient', code: 'http_503' }],
    ['a rate that it calls a bad request', { code: 'rate_limit' }, { kind: 'limited', code: 'rate_limit' }],
  ])('%s', async (_, refusal, expected) => {
    expect(await failureOf(refuse({ message: 'No.', ...refusal }))).toMatchObject({
      ...expected,
      message: 'No.',
    })
  })

  it('is asked once even when Stripe says that one should try again', async () => {
    const headers = { 'stripe-should-retry': 'true' }
    expect(await failureOf({ ...refuse({ status: 409 }), headers })).toMatchObject({ kind: 'transient' })
  })

  it('by its own rules: the key, accounts that are unknown or cannot be paid, an empty balance', async () => {
    const { client } = connect()
    expect(await failure(client.accounts.retrieve('acct_of_others'))).toMatchObject({
      kind: 'permanent',
      code: 'account_invalid',
    })
    expect(await failure(transfer(client, { destination: 'acct_of_others' }, 'a'))).toMatchObject({
      kind: 'permanent',
      code: 'resource_missing',
    })
    server.addAccount('acct_new', 'inactive')
    expect(await failure(transfer(client, { destination: 'acct_new' }, 'b'))).toMatchObject({
      kind: 'permanent',
      code: 'insufficient_capabilities_for_transfer',
    })
    expect(await failure(transfer(client, { amount: 1_000_001 }, 'c'))).toMatchObject({
      kind: 'permanent',
      code: 'balance_insufficient',
    })
    expect(await failure(client.transfers.retrieve('tr_of_nobody'))).toMatchObject({
      kind: 'permanent',
      code: 'resource_missing',
    })
    server.keys.clear()
    expect(await failure(transfer(client, {}, 'd'))).toMatchObject({ kind: 'refused', code: 'http_401' })
    expect(server.transfers.size).toBe(0)
  })
})

describe('a webhook', () => {
  const secret = credentials.webhook_secret
  const open = (body: string, signature?: string, secrets: Record<string, string> = credentials) =>
    stripe.webhook!.open(
      { headers: new Headers(signature === undefined ? {} : { 'stripe-signature': signature }), body },
      secrets,
      'rawdog',
    )

  it('is opened with the secret of the tenant', async () => {
    const body = server.event('topup.succeeded', { id: 'tu_1', object: 'topup', amount: 5_000 })
    const event = JSON.parse(body)
    expect(await open(body, server.signWebhook(body, secret))).toEqual({
      id: event.id,
      type: 'topup.succeeded',
      body: event,
    })
  })

  it('is opened while two secrets are in use', async () => {
    const body = server.event('topup.succeeded', { id: 'tu_1' })
    const [time, old] = server.signWebhook(body, 'whsec_of_yesterday').split(',')
    const [, current] = server.signWebhook(body, secret).split(',')
    expect(await open(body, `${time},${old},${current}`)).not.toBeNull()
  })

  it('is not opened with another secret, without one, changed, or late', async () => {
    const body = server.event('topup.succeeded', { id: 'tu_1', amount: 5_000 })
    const good = server.signWebhook(body, secret)
    expect(await open(body, server.signWebhook(body, 'whsec_of_somebody_else'))).toBeNull()
    expect(await open(body, good, { secret_key: credentials.secret_key })).toBeNull()
    expect(await open(body, server.signWebhook(body, ''), { webhook_secret: '' })).toBeNull()
    expect(await open(body.replace('5000', '5001'), good)).toBeNull()

    const signedAgo = (seconds: number) =>
      server.signWebhook(body, secret, new Date(Date.now() - seconds * 1_000))
    expect(await open(body, signedAgo(310))).toBeNull()
    expect(await open(body, signedAgo(290))).not.toBeNull()
  })

  it.each([undefined, '', 'v1=00', 't=x,v1=y,,=', `t=${Math.floor(Date.now() / 1_000)},v1=00`])(
    'is garbage: %j',
    async (signature) => {
      expect(await open('{"id":"evt_1","type":"topup.succeeded"}', signature)).toBeNull()
    },
  )

  it.each(['no JSON', 'null', '[]', '{"id":7,"type":"topup.succeeded"}', '{"id":"evt_1"}'])(
    'is signed garbage: %j',
    async (body) => {
      expect(await open(body, server.signWebhook(body, secret))).toBeNull()
    },
  )

  it('that a task checks itself, and finds wrong, is no failure of Stripe', () => {
    const error = new Stripe.errors.StripeSignatureVerificationError('t=1', '{}')
    expect(stripe.readError(error)).toBeNull()
  })
})

/** Behind one more error of the SDK's when it came while the answer was read. */
function reasonOf(error: unknown, whileReading: boolean): unknown {
  expect(error).toBeInstanceOf(Stripe.errors.StripeConnectionError)
  const { detail } = error as { detail?: unknown }
  return whileReading ? (detail as { exception?: unknown }).exception : detail
}
