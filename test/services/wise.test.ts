import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wise } from '../../src/services/wise.ts'
import { type NewQuote, type WiseClient, WiseError } from '../../src/services/wise-client.ts'
import { WiseServer } from '../fixtures/providers/wise.ts'
import { errorOf, onWire } from './kit.ts'
import { type WireSubject, wireBehaviour } from './wire-suite.ts'

const credentials = { api_token: 'c0ffee00-wise-token-of-the-fixture', profile_id: '101' }

let server: WiseServer
let targetAccount: string

beforeEach(async () => {
  server = await new WiseServer({ keys: [credentials.api_token], profileId: '101' }).listen()
  targetAccount = server.addRecipient(148_149_706)
})

afterEach(async () => {
  await server.close()
})

function quote(client: WiseClient, given: Partial<NewQuote> = {}) {
  const amount = { sourceCents: 10_000 }
  return client.createQuote({ sourceCurrency: 'USD', targetCurrency: 'EUR', amount, targetAccount, ...given })
}

async function transfer(client: WiseClient, customerTransactionId: string = randomUUID()) {
  const { id: quoteId } = await quote(client)
  return await client.createTransfer({ quoteId, targetAccount, customerTransactionId, reference: 'Payout' })
}

const subject: WireSubject<WiseClient> = {
  service: wise,
  credentials,
  server: () => server,
  call: (client) => client.getTransfer('1'),
  refusal: (status, code) => ({
    status,
    body: { errors: [{ code, message: 'No.', path: 'sourceAmount', arguments: [] }] },
  }),
  told: (status) => `Wise answered ${status}: sourceAmount: No.`,
  refusals: {
    permanent: [
      [400, 'error.greaterThanZero'],
      [404, 'error.greaterThanZero'],
      [422, 'error.greaterThanZero'],
    ],
    transient: [
      [409, 'ERROR'],
      [500, 'ERROR'],
      [503, 'ERROR'],
    ],
    limited: [429, 'ERROR'],
  },
  pages: { transient: [409, 500, 503] },
  wordlessBodies: ['{"errors":"many"}'],
  halfRefusal: 'its status',
}

const { connect, failure, failureOf } = onWire(subject)

wireBehaviour(subject)

describe('the client', () => {
  it('quotes, makes a transfer, and pays it from the balance', async () => {
    const { client } = connect()
    const offer = await quote(client)
    expect(offer).toEqual({
      id: expect.any(String),
      status: 'PENDING',
      sourceCurrency: 'USD',
      targetCurrency: 'EUR',
      sourceCents: 10_000,
      targetCents: 9_062,
      feeCents: 150,
      rate: '0.92',
      expiresAt: expect.any(Date),
      disabledReason: null,
    })
    expect(await client.getQuote(offer.id)).toEqual(offer)

    const customerTransactionId = randomUUID()
    const order = { quoteId: offer.id, targetAccount, customerTransactionId, reference: 'Payout 7' }
    const made = await client.createTransfer(order)
    expect(made).toEqual({
      id: expect.stringMatching(/^\d+$/),
      status: 'incoming_payment_waiting',
      quoteId: offer.id,
      targetAccount,
      customerTransactionId,
      sourceCurrency: 'USD',
      sourceCents: 10_000,
      targetCurrency: 'EUR',
      targetCents: 9_062,
      hasActiveIssues: false,
    })
    expect(await client.fundTransfer(made.id)).toEqual({ status: 'COMPLETED', errorCode: null })
    expect(await client.getTransfer(made.id)).toEqual({ ...made, status: 'processing' })
    expect(await client.balances()).toEqual([
      { id: '200001', currency: 'USD', availableCents: 990_000, reservedCents: 0 },
    ])
    expect((await client.getQuote(offer.id)).status).toBe('FUNDED')
  })

  it('sends what Wise documents', async () => {
    const { client } = connect()
    const { id, customerTransactionId } = await transfer(client)
    await client.fundTransfer(id)
    await client.balances()
    await client.profile()
    const sent = server.requests.map(({ method, path, query, body }) => [
      `${method} ${path}${query.size > 0 ? `?${query}` : ''}`,
      body,
    ])
    expect(sent).toEqual([
      [
        'POST /v3/profiles/101/quotes',
        {
          sourceCurrency: 'USD',
          targetCurrency: 'EUR',
          sourceAmount: 100,
          targetAccount: 148_149_706,
          payIn: 'BALANCE',
        },
      ],
      [
        'POST /v1/transfers',
        {
          targetAccount: 148_149_706,
          quoteUuid: expect.any(String),
          customerTransactionId,
          details: { reference: 'Payout' },
        },
      ],
      [`POST /v3/profiles/101/transfers/${id}/payments`, { type: 'BALANCE' }],
      ['GET /v4/profiles/101/balances?types=STANDARD', null],
      ['GET /v2/profiles/101', null],
    ])
  })

  it('follows a transfer wherever it goes', async () => {
    const { client } = connect()
    const { id } = await transfer(client)
    for (const status of ['funds_converted', 'outgoing_payment_sent', 'bounced_back', 'funds_refunded']) {
      server.moveTransfer(id, status)
      expect((await client.getTransfer(id)).status).toBe(status)
    }
    server.moveTransfer(id, 'a_status_of_next_year')
    expect((await client.getTransfer(id)).status).toBe('unknown')
  })

  it('keeps ids in their place in the path', async () => {
    await failure(connect().client.getTransfer('../v2/profiles/101?x='))
    expect(server.requests[0]?.path).toBe('/v1/transfers/..%2Fv2%2Fprofiles%2F101%3Fx%3D')
  })

  it('is verified by one cheap request, with the profile', async () => {
    const { client } = connect()
    await wise.verify(client, credentials)
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v4/profiles/101/balances',
    ])
    server.keys.clear()
    expect(await failure(wise.verify(client, credentials))).toMatchObject({ kind: 'refused' })
  })
})

describe('a repeat', () => {
  it('of a transfer whose answer was lost is answered that transfer', async () => {
    const { client } = connect()
    const customerTransactionId = randomUUID()
    const { id: quoteId } = await quote(client)
    const order = { quoteId, targetAccount, customerTransactionId, reference: 'Payout' }
    server.loseAnswer()
    expect(await failure(client.createTransfer(order))).toMatchObject({ kind: 'transient' })
    const again = await client.createTransfer(order)
    expect([...server.transfers.keys()]).toEqual([again.id])
    expect((await client.createTransfer(order)).id).toBe(again.id)
  })

  it('of a quote makes no second transfer', async () => {
    const { client } = connect()
    const { quoteId } = await transfer(client)
    const order = { quoteId: quoteId!, targetAccount, reference: 'Payout' }
    const customerTransactionId = randomUUID()
    expect(await failure(client.createTransfer({ ...order, customerTransactionId }))).toEqual({
      kind: 'permanent',
      code: 'NOT_VALID',
      message: 'Wise answered 422: quoteUuid: Quote was already used',
    })
    expect(server.transfers.size).toBe(1)
  })

  it('of a payment pays nothing twice', async () => {
    const { client } = connect()
    const { id } = await transfer(client)
    server.loseAnswer()
    expect(await failure(client.fundTransfer(id))).toMatchObject({ kind: 'transient' })
    expect((await client.getTransfer(id)).status).toBe('processing')
    expect(await client.fundTransfer(id)).toMatchObject({ status: 'REJECTED' })
    expect(server.payments.filter(({ status }) => status === 'COMPLETED')).toHaveLength(1)
    expect(server.balances.get('USD')).toBe(990_000)
  })
})

describe('a payment that Wise rejects', () => {
  it('is an answer with a reason, and may be tried again', async () => {
    const { client } = connect()
    const { id } = await transfer(client)
    server.balances.set('USD', 9_999)
    const rejected = { status: 'REJECTED', errorCode: 'transfer.insufficient_funds' }
    expect(await client.fundTransfer(id)).toEqual(rejected)
    expect((await client.getTransfer(id)).status).toBe('incoming_payment_waiting')

    server.balances.set('USD', 10_000)
    server.rejectPayment()
    expect(await client.fundTransfer(id)).toEqual({
      status: 'REJECTED',
      errorCode: 'balance.payment-option-unavailable',
    })
    expect(await client.fundTransfer(id)).toEqual({ status: 'COMPLETED', errorCode: null })
  })

  it('for want of a person is permanent, for it is no fault of the token', async () => {
    const { client } = connect()
    const { id } = await transfer(client)
    server.requiresApproval = true
    expect(await failure(client.fundTransfer(id))).toEqual({
      kind: 'permanent',
      code: 'sca_required',
      message: expect.stringContaining('wise.com'),
    })
  })
})

describe('a quote', () => {
  it('is for what leaves or for what arrives', async () => {
    const { client } = connect()
    expect(await quote(client, { amount: { targetCents: 9_200 } })).toMatchObject({
      sourceCents: 10_150,
      targetCents: 9_200,
      feeCents: 150,
    })
    expect(server.requests[0]?.body).toMatchObject({ targetAmount: 92 })
    expect(server.requests[0]?.body).not.toHaveProperty('sourceAmount')
  })

  it('expires', async () => {
    const { client } = connect()
    const { id: quoteId } = await quote(client)
    server.expireQuote(quoteId)
    expect((await client.getQuote(quoteId)).status).toBe('EXPIRED')
    const order = { quoteId, targetAccount, customerTransactionId: randomUUID(), reference: 'Payout' }
    expect(await failure(client.createTransfer(order))).toMatchObject({ kind: 'permanent' })
  })

  it('says why the balance cannot pay it', async () => {
    server.balances.delete('USD')
    expect(await quote(connect().client)).toMatchObject({ disabledReason: 'error.payInmethod.disabled' })
  })

  it('that no balance can ever pay is permanent', async () => {
    const { client } = connect()
    const { id } = await quote(client)
    server.requests.length = 0
    server.answerNext({ body: { ...quoteAnswer, id, paymentOptions: [] } })
    expect(await failure(quote(client))).toMatchObject({ kind: 'permanent', code: 'balance_option_missing' })
  })

  it('of a recipient that Wise does not know is permanent', async () => {
    for (const unknown of ['7', 'not-a-number']) {
      expect(await failure(quote(connect().client, { targetAccount: unknown }))).toEqual({
        kind: 'permanent',
        code: 'error.recipient.not.found',
        message: 'Wise answered 422: targetAccount: Recipient not found',
      })
    }
  })
})

describe('money', () => {
  it.each([
    [1, 'USD', '0.01'],
    [29, 'USD', '0.29'],
    [110, 'USD', '1.1'],
    [115, 'EUR', '1.15'],
    [1_005, 'GBP', '10.05'],
    [8_192_99, 'USD', '8192.99'],
    [2_147_483_647, 'USD', '21474836.47'],
    [999_999_999_999_999, 'USD', '9999999999999.99'],
    [1_500, 'JPY', '1500'],
    [1_500, 'HUF', '15'],
    [1_500, 'KWD', '1.5'],
  ])('%i cents of %s are %s, there and back', async (cents, currency, decimal) => {
    const { client } = connect()
    const option = { ...quoteAnswer.paymentOptions[0], sourceAmount: Number(decimal), fee: { total: 0 } }
    server.answerNext({ body: { ...quoteAnswer, sourceCurrency: currency, paymentOptions: [option] } })
    const offer = await quote(client, { sourceCurrency: currency, amount: { sourceCents: cents } })
    expect(server.requests[0]?.text).toContain(`"sourceAmount":${decimal},`)
    expect(offer.sourceCents).toBe(cents)
  })

  it('is exact for every cent', async () => {
    const { client } = connect()
    for (const start of [0, 100_000_00, 21_474_000_00]) {
      const cents = Array.from({ length: 500 }, (_, index) => start + index * 7)
      const balance = (amount: number) => ({
        id: 1,
        currency: 'USD',
        amount: { value: amount / 100, currency: 'USD' },
        reservedAmount: { value: -amount / 100, currency: 'USD' },
      })
      server.answerNext({ body: cents.map(balance) })
      const read = await client.balances()
      expect(read.map(({ availableCents }) => availableCents)).toEqual(cents)
      expect(read.map(({ reservedCents }) => reservedCents + 0)).toEqual(cents.map((one) => 0 - one))
    }
  })

  it.each([0, -5, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER])(
    '%d is no amount, and is not sent',
    async (cents) => {
      const error = await errorOf(quote(connect().client, { amount: { sourceCents: cents } }))
      expect(error).toBeInstanceOf(RangeError)
      expect(server.requests).toHaveLength(0)
    },
  )

  it('a part of a cent is not rounded away', async () => {
    const { client } = connect()
    for (const [value, currency] of [
      [10.005, 'USD'],
      [0.1 + 0.2, 'USD'],
      [1e-7, 'USD'],
      [0.5, 'JPY'],
    ]) {
      const amount = { value, currency }
      server.answerNext({ body: [{ id: 1, currency, amount, reservedAmount: { value: 0, currency } }] })
      expect(await failure(client.balances())).toMatchObject({ kind: 'transient', code: 'unreadable_answer' })
    }
  })
})

describe('what Wise refuses', () => {
  it('401 is refused, and the token that Wise repeats is not', async () => {
    const { client } = connect()
    server.keys.clear()
    const error = await errorOf(client.balances())
    expect(wise.readError(error)).toEqual({
      kind: 'refused',
      code: 'invalid_token',
      message: 'Wise answered 401: invalid_token',
    })
    expect(error).toBeInstanceOf(WiseError)
    const { message, stack, cause } = error as WiseError
    expect(`${message} ${stack} ${String(cause)} ${JSON.stringify(error)}`).not.toContain(
      credentials.api_token,
    )
  })

  it('403 is refused', async () => {
    const forbidden = { status: 403, error: 'Forbidden', message: 'You are forbidden to send this request' }
    expect(await failureOf({ status: 403, body: forbidden })).toEqual({
      kind: 'refused',
      code: 'http_403',
      message: 'Wise answered 403: You are forbidden to send this request',
    })
  })

  it('a problem in the newer form is read, too', async () => {
    const problem = {
      type: '/errors/types/validation',
      title: 'Validation Error',
      detail: 'Gone',
      code: 'not_found',
    }
    expect(await failureOf({ status: 404, body: problem })).toEqual({
      kind: 'permanent',
      code: 'not_found',
      message: 'Wise answered 404: Gone',
    })
  })

  it('what is not there is permanent', async () => {
    expect(await failure(connect().client.getTransfer('7'))).toMatchObject({
      kind: 'permanent',
      code: 'http_404',
    })
  })
})

describe('an answer in another form', () => {
  it('is unreadable, and told by what is missing', async () => {
    expect(await failureOf({ body: { id: 1, secret: 'x' } })).toMatchObject({
      kind: 'transient',
      code: 'unreadable_answer',
      message: expect.stringMatching(
        /^Wise answered GET \/v1\/transfers\/1 in an unknown form: targetAccount, /,
      ),
    })
  })
})

const quoteAnswer = {
  id: '8fa9be20-ba43-4b15-abbb-9424e1481050',
  status: 'PENDING',
  sourceCurrency: 'USD',
  targetCurrency: 'EUR',
  payOut: 'BANK_TRANSFER',
  rate: 0.92,
  expirationTime: '2026-04-05T13:48:58Z',
  paymentOptions: [
    {
      payIn: 'BALANCE',
      payOut: 'BANK_TRANSFER',
      sourceAmount: 100,
      targetAmount: 92,
      fee: { total: 1.5 },
      disabled: false,
    },
  ],
}
