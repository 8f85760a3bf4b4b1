import { beforeEach, expect, test } from 'vitest'
import { withTenant } from '../../../src/default-platform.ts'
import { SnoozeError } from '../../../src/errors.ts'
import { failPayout } from '../../../tasks/payouts/fail-payout.ts'
import { payoutUuid } from '../../../tasks/payouts/payout-uuid.ts'
import { processInternationalPayout } from '../../../tasks/payouts/process-international.ts'
import type { ProviderRequest } from '../../fixtures/providers/server.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { expectLedgerToAgree, find, set } from '../rows.ts'
import { addCreatorWithMoney, addPayout, expectBalance, ledgerOf } from './payout-rows.ts'

const providers = useProviders(['wise'], { tasks: [processInternationalPayout] })

const isQuote = ({ method, path }: ProviderRequest) => method === 'POST' && path.endsWith('/quotes')
const isTransfer = ({ method, path }: ProviderRequest) => method === 'POST' && path === '/v1/transfers'
const isPayment = ({ method, path }: ProviderRequest) => method === 'POST' && path.endsWith('/payments')
const isStatus = ({ method, path }: ProviderRequest) =>
  method === 'GET' && /^\/v1\/transfers\/\d+$/.test(path)

let creatorId: string
let payoutId: string
let uuid: string
beforeEach(async () => {
  providers.wise.addRecipient(700)
  providers.wise.balances.set('USD', 1_000_000)
  creatorId = await addCreatorWithMoney()
  payoutId = await addPayout(creatorId, { method: 'wise' })
  uuid = await payoutUuid(tenantId, payoutId)
})

const process = () => kit.runTask(processInternationalPayout, { tenantId, payoutId })
const row = () => find(tenantId, 'payouts', payoutId)
const sent = (matches: (request: ProviderRequest) => boolean) =>
  providers.wise.requests.filter(matches).length

const transfers = () =>
  [...providers.wise.transfers.values()].filter((one) => one.customerTransactionId === uuid)
const transferId = () => String(transfers()[0]!.id)
const payments = () =>
  providers.wise.payments.filter(
    (one) => String(one.transferId) === transferId() && one.status === 'COMPLETED',
  )

async function expectPaidOnce(): Promise<void> {
  expect(transfers()).toHaveLength(1)
  expect(payments()).toHaveLength(1)
  expect(await row()).toMatchObject({ status: 'processing', wise_transfer_id: transferId() })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
  await expectBalance(creatorId, 4_000)
  await expectLedgerToAgree(tenantId)
}

async function expectGivenBack(code: string): Promise<void> {
  expect(await row()).toMatchObject({ status: 'failed', failure_code: code, failed_at: expect.any(Date) })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000', 'refund 6000'])
  await expectBalance(creatorId, 10_000)
  await expectLedgerToAgree(tenantId)
}

test('the creator gets what is left after the fee, to the cent; Wise takes its own from the tenant', async () => {
  expect(await process()).toEqual({ payoutId, status: 'processing', wiseStatus: 'processing' })
  expect(transfers()[0]).toMatchObject({
    targetAccount: 700,
    targetCurrency: 'USD',
    targetCents: 5_900,
    sourceCurrency: 'USD',
    sourceCents: 6_050,
  })
  expect(await row()).toMatchObject({ wise_quote_id: transfers()[0]!.quoteUuid })
  await expectPaidOnce()

  const before = providers.wise.requests.length
  await process()
  expect(providers.wise.requests.length - before).toBe(1) // Only the status was read.
  await expectPaidOnce()
})

test.each([
  ['the quote', isQuote],
  ['the transfer', isTransfer],
  ['the payment', isPayment],
  ['the status before the payment', isStatus],
])('the answer about %s is lost: the retry resumes there and pays once', async (_, matches) => {
  providers.wise.loseAnswer({ instead: 'reset' }, { matches })
  await expect(process()).rejects.toThrow()
  expect(await row()).toMatchObject({ status: 'processing' })
  await process()
  await expectPaidOnce()
  // Nothing that was stored is asked for again.
  expect(sent(isQuote)).toBe(matches === isQuote ? 2 : 1)
  expect(sent(isTransfer)).toBe(matches === isTransfer ? 2 : 1)
  expect(sent(isPayment)).toBe(1)
})

test.each([
  ['the quote', isQuote],
  ['the transfer', isTransfer],
  ['the payment', isPayment],
])('%s never reached Wise: the retry asks again', async (_, matches) => {
  providers.wise.answerNext({ status: 503, body: '' }, { matches })
  await expect(process()).rejects.toThrow()
  await process()
  await expectPaidOnce()
})

test('the answer about the transfer is lost and the quote has expired since: the transfer that was made counts', async () => {
  providers.wise.loseAnswer({ instead: 'reset' }, { matches: isTransfer })
  await expect(process()).rejects.toThrow()
  providers.wise.expireQuote((await row()).wise_quote_id)
  await process()
  expect(sent(isQuote)).toBe(1)
  await expectPaidOnce()
})

test('a quote that expired before its transfer is replaced', async () => {
  providers.wise.answerNext({ instead: 'reset' }, { matches: isTransfer })
  await expect(process()).rejects.toThrow()
  const first = (await row()).wise_quote_id
  providers.wise.expireQuote(first)
  await process()
  expect((await row()).wise_quote_id).not.toBe(first)
  await expectPaidOnce()
})

test('a quote that expires on the way to its transfer is replaced, and fails nothing', async () => {
  providers.wise.answerNext(
    ({ body }) => {
      providers.wise.expireQuote(body.quoteUuid)
      return { status: 422, body: { errors: [{ code: 'NOT_VALID', message: 'Quote has expired' }] } }
    },
    { matches: isTransfer },
  )
  await processInternationalPayout.trigger({ tenantId, payoutId })
  await kit.drain()
  expect(await row()).toMatchObject({ status: 'processing', wise_transfer_id: null })
  await kit.advance('2s')
  expect(await kit.drain()).toMatchObject({ completed: 1 })
  await expectPaidOnce()
})

test('runs at once: one transfer, paid once', async () => {
  await Promise.allSettled([process(), process(), process()])
  await process()
  await expectPaidOnce()
})

test.each([
  ['the quote', isQuote],
  ['the transfer', isTransfer],
])('Wise refuses %s for good: the money is given back, once', async (_, matches) => {
  const body = { errors: [{ code: 'error.recipient.invalid', message: 'No such recipient' }] }
  providers.wise.answerNext({ status: 422, body }, { matches, times: 3 })
  const settled = await Promise.allSettled([process(), process(), process()])
  expect(settled.every(({ status }) => status === 'rejected')).toBe(true)
  await expectGivenBack('error.recipient.invalid')
  await expectAbort(process(), /is failed \(error.recipient.invalid/)
  expect(transfers()).toHaveLength(0)
})

test('Wise refuses a repeat of a transfer that it has made: nothing is given back', async () => {
  providers.wise.loseAnswer({ status: 422, body: { code: 'duplicate' } }, { matches: isTransfer })
  await expect(process()).rejects.toMatchObject({ code: 'duplicate' })
  expect(await row()).toMatchObject({ status: 'processing', wise_transfer_id: null })
  await process()
  await expectPaidOnce()
})

test('no money at Wise: the transfer waits for a top-up, without spending attempts', async () => {
  providers.wise.balances.set('USD', 100)
  await processInternationalPayout.trigger({ tenantId, payoutId })
  for (let hour = 0; hour < 8; hour += 1) {
    expect(await kit.drain()).toMatchObject({ completed: 0, failed: 0 })
    await kit.advance('1h')
  }
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
  providers.wise.balances.set('USD', 1_000_000)
  expect(await kit.drain()).toMatchObject({ completed: 1 })
  await expectPaidOnce()
})

test('a transfer that Wise cancels while it waits fails the payout', async () => {
  providers.wise.rejectPayment()
  await expect(process()).rejects.toThrow(SnoozeError)
  providers.wise.moveTransfer(transferId(), 'cancelled')
  await expectAbort(process(), /is cancelled; payout .* has failed/)
  await expectGivenBack('cancelled')
})

test('the waiting ends after three weeks, loudly, and gives nothing back that could still be paid', async () => {
  providers.wise.rejectPayment()
  await expect(process()).rejects.toThrow(SnoozeError)
  await set(tenantId, 'payouts', payoutId, 'initiated_at', new Date(Date.now() - 22 * 86_400_000))
  providers.wise.rejectPayment()
  await expectAbort(process(), /has not paid transfer .* for 21 days \(balance.payment-option-unavailable\)/)
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
})

test('a transfer that was paid elsewhere between the look and the payment is paid', async () => {
  const payTwice = () => {
    providers.wise.moveTransfer(transferId(), 'processing')
    return { status: 422, body: { code: 'transfer.invalid-state' } }
  }
  providers.wise.answerNext(payTwice, { matches: isPayment })
  expect(await process()).toMatchObject({ wiseStatus: 'processing' })

  providers.wise.moveTransfer(transferId(), 'incoming_payment_waiting')
  const rejectTwice = () => {
    providers.wise.moveTransfer(transferId(), 'funds_converted')
    return { body: { type: 'BALANCE', status: 'REJECTED', errorCode: 'balance.payment-option-unavailable' } }
  }
  providers.wise.answerNext(rejectTwice, { matches: isPayment })
  expect(await process()).toMatchObject({ wiseStatus: 'funds_converted' })
})

test('a payment that its owner must approve fails the run and gives nothing back', async () => {
  providers.wise.requiresApproval = true
  try {
    await processInternationalPayout.trigger({ tenantId, payoutId })
    expect(await kit.drain()).toMatchObject({ failed: 1 })
  } finally {
    providers.wise.requiresApproval = false
  }
  expect(await row()).toMatchObject({ status: 'processing', wise_transfer_id: transferId() })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
})

test.each([
  ['quote', isQuote, /ended while it was processed/],
  ['transfer', isTransfer, /ended in another way. It is not paid/],
])('a payout that ends while its %s is made is not paid', async (_, matches, message) => {
  const refused = { code: 'other_run', reason: 'Another run said so' }
  providers.wise.loseAnswer({ instead: 'reset' }, { matches })
  await expect(process()).rejects.toThrow()
  // The answer comes, but late: meanwhile another run has failed the payout.
  providers.wise.answerNext(
    async () => {
      await withTenant(tenantId, () => failPayout(payoutId, refused))
      return matches === isQuote
        ? { body: quoteBody }
        : { body: { ...transferBody, id: transfers()[0]!.id, customerTransactionId: uuid } }
    },
    { matches },
  )
  await expectAbort(process(), message)
  expect(sent(isPayment)).toBe(0)
  await expectGivenBack('other_run')
})

const quoteBody = {
  id: '11144c35-9fe8-4c32-b7fd-d05c2a7734bf',
  status: 'PENDING',
  sourceCurrency: 'USD',
  targetCurrency: 'USD',
  payOut: 'BANK_TRANSFER',
  rate: 1,
  expirationTime: '2100-01-01T00:00:00Z',
  paymentOptions: [
    { payIn: 'BALANCE', payOut: 'BANK_TRANSFER', sourceAmount: 60.5, targetAmount: 59, fee: { total: 1.5 } },
  ],
}

const transferBody = {
  status: 'incoming_payment_waiting',
  targetAccount: 700,
  sourceCurrency: 'USD',
  sourceValue: 60.5,
  targetCurrency: 'USD',
  targetValue: 59,
}

test('what cannot be processed is refused before anything is asked', async () => {
  await set(tenantId, 'payouts', payoutId, 'status', 'cancelled')
  await expectAbort(process(), /is cancelled/)
  await set(tenantId, 'payouts', payoutId, 'status', 'completed')
  expect(await process()).toMatchObject({ status: 'completed' })
  await set(tenantId, 'payouts', payoutId, 'status', 'processing')
  await set(tenantId, 'creators', creatorId, 'wise_recipient_id', null)
  await expectAbort(process(), /wise_recipient_id is gone/)
  expect(providers.wise.requests).toHaveLength(0)
})
