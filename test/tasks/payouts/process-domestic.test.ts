import { beforeEach, expect, test } from 'vitest'
import { runs, withTenant } from '../../../src/default-platform.ts'
import { failPayout } from '../../../tasks/payouts/fail-payout.ts'
import { processDomesticPayout } from '../../../tasks/payouts/process-domestic.ts'
import type { ProviderRequest } from '../../fixtures/providers/server.ts'
import { refuse } from '../../fixtures/providers/stripe.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { expectLedgerToAgree, find, set } from '../rows.ts'
import { addCreatorWithMoney, addPayout, expectBalance, ledgerOf } from './payout-rows.ts'

const providers = useProviders(['stripe'], { tasks: [processDomesticPayout] })

const isCreate = ({ method, path }: ProviderRequest) => method === 'POST' && path === '/v1/transfers'
const isSearch = ({ method, path }: ProviderRequest) => method === 'GET' && path === '/v1/transfers'
const nothingFound = { body: { object: 'list', data: [], has_more: false, url: '/v1/transfers' } }

let creatorId: string
let payoutId: string
beforeEach(async () => {
  providers.stripe.addAccount('acct_creator')
  creatorId = await addCreatorWithMoney()
  payoutId = await addPayout(creatorId)
})

const process = (id = payoutId) => kit.runTask(processDomesticPayout, { tenantId, payoutId: id })

const transfers = () =>
  [...providers.stripe.transfers.values()].filter(({ metadata }) => metadata.payout_id === payoutId)

const keysSent = () =>
  providers.stripe.received('POST', '/v1/transfers').map(({ headers }) => headers['idempotency-key'])

async function expectPaidOnce(): Promise<void> {
  expect(transfers()).toHaveLength(1)
  expect(await find(tenantId, 'payouts', payoutId)).toMatchObject({
    status: 'processing',
    stripe_transfer_id: transfers()[0]!.id,
  })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
  await expectBalance(creatorId, 4_000)
  await expectLedgerToAgree(tenantId)
}

async function expectUndecided(): Promise<void> {
  expect(await find(tenantId, 'payouts', payoutId)).toMatchObject({
    status: 'processing',
    stripe_transfer_id: null,
  })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
}

async function expectGivenBack(code: string): Promise<void> {
  expect(transfers()).toHaveLength(0)
  expect(await find(tenantId, 'payouts', payoutId)).toMatchObject({
    status: 'failed',
    failure_code: code,
    failure_reason: expect.stringMatching(/\w/),
    failed_at: expect.any(Date),
    stripe_transfer_id: null,
  })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000', 'refund 6000'])
  await expectBalance(creatorId, 10_000)
  await expectLedgerToAgree(tenantId)
}

test('a payout becomes one transfer of what is left after the fee, to the account of its creator', async () => {
  const answer = { payoutId, status: 'processing', stripeTransferId: expect.any(String) }
  expect(await process()).toEqual({ ...answer, alreadyTransferred: false })
  expect(transfers()[0]).toMatchObject({
    amount: 5_900,
    currency: 'usd',
    destination: 'acct_creator',
    transfer_group: `payout_${tenantId}_${payoutId}`,
    metadata: { payout_id: payoutId, tenant_id: tenantId },
  })
  await expectPaidOnce()

  expect(await process()).toEqual({ ...answer, alreadyTransferred: true })
  expect(providers.stripe.requests).toHaveLength(1)
  await expectPaidOnce()
})

test.each([
  ['the connection was reset', { instead: 'reset' }],
  ['nothing was ever said', { instead: 'silence' }],
  ['a proxy answered', { status: 502, body: '<html>' }],
  ['Stripe answered 500', refuse({ status: 500, message: 'Oops' })],
] as const)('the transfer was made, but %s: the next run finds it', async (_, answer) => {
  providers.stripe.loseAnswer(answer, { matches: isCreate })
  await expect(process()).rejects.toThrow()
  await expectUndecided()
  expect(await process()).toMatchObject({ alreadyTransferred: true })
  await expectPaidOnce()
})

test('the answer was lost and the transfer is not found yet: the same key gets the same transfer', async () => {
  providers.stripe.loseAnswer({ instead: 'reset' }, { matches: isCreate })
  await expect(process()).rejects.toThrow()
  providers.stripe.answerNext(nothingFound, { matches: isSearch })
  await process()
  expect(keysSent()).toEqual([`payout_${tenantId}_${payoutId}`, `payout_${tenantId}_${payoutId}`])
  await expectPaidOnce()
})

test('the answer was lost and Stripe has forgotten the key: no second transfer', async () => {
  providers.stripe.loseAnswer({ instead: 'reset' }, { matches: isCreate })
  await expect(process()).rejects.toThrow()
  providers.stripe.forgetIdempotencyKeys()
  await process()
  expect(keysSent()).toHaveLength(1)
  await expectPaidOnce()
})

test('the answer was lost and the creator has another account now: the transfer that was made counts', async () => {
  providers.stripe.loseAnswer({ instead: 'reset' }, { matches: isCreate })
  await expect(process()).rejects.toThrow()
  await set(tenantId, 'creators', creatorId, 'stripe_connect_id', providers.stripe.addAccount('acct_new'))
  // Stripe refuses the key with other parameters for good. That must not give the money back.
  providers.stripe.answerNext(nothingFound, { matches: isSearch })
  await process()
  expect(keysSent()).toHaveLength(2)
  await expectPaidOnce()
})

test('what never reached Stripe is sent by the next run', async () => {
  providers.stripe.answerNext({ instead: 'reset' }, { matches: isCreate })
  await expect(process()).rejects.toThrow()
  await expectUndecided()
  expect(transfers()).toHaveLength(0)
  await process()
  await expectPaidOnce()
})

test('a retry that cannot look for the transfer makes none', async () => {
  providers.stripe.loseAnswer({ instead: 'reset' }, { matches: isCreate })
  await expect(process()).rejects.toThrow()
  providers.stripe.answerNext({ status: 503, body: '' }, { matches: isSearch })
  await expect(process()).rejects.toThrow()
  expect(keysSent()).toHaveLength(1)
  await expectUndecided()
  await process()
  await expectPaidOnce()
})

test('two runs at once make one transfer, and the one that was too early is retried', async () => {
  const goOn = providers.stripe.pause()
  const both = Promise.allSettled([process(), process()])
  await expect.poll(() => keysSent().length + providers.stripe.requests.length).toBeGreaterThan(2)
  goOn()
  const settled = await both
  expect(settled.some(({ status }) => status === 'fulfilled')).toBe(true)
  for (const one of settled) {
    if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'idempotency_key_in_use' })
  }
  await expectPaidOnce()
  await process()
  await expectPaidOnce()
})

test.each([
  ['resource_missing', () => set(tenantId, 'creators', creatorId, 'stripe_connect_id', 'acct_nobody')],
  [
    'insufficient_capabilities_for_transfer',
    async () => {
      const account = providers.stripe.addAccount('acct_inactive', 'inactive')
      await set(tenantId, 'creators', creatorId, 'stripe_connect_id', account)
    },
  ],
  ['balance_insufficient', async () => providers.stripe.failTransfer({ code: 'balance_insufficient' })],
])('refused for good (%s): the money is given back, once', async (code, arrange) => {
  await arrange()
  const settled = await Promise.allSettled([process(), process(), process()])
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  await expectGivenBack(code)
  await expectAbort(process(), new RegExp(`is failed \\(${code}: `))
  await expectGivenBack(code)
})

test('the run of a payout that is refused fails at once, with the code of Stripe', async () => {
  providers.stripe.failTransfer({ code: 'balance_insufficient', message: 'You have insufficient funds.' })
  const { id } = await processDomesticPayout.trigger({ tenantId, payoutId })
  expect(await kit.drain()).toMatchObject({ failed: 1 })
  expect(await runs.get(id)).toMatchObject({ attempt: 1, error: { code: 'balance_insufficient' } })
  await expectGivenBack('balance_insufficient')
})

test('refused, but nobody can say whether there is a transfer: nothing is given back', async () => {
  providers.stripe.failTransfer({ code: 'balance_insufficient' })
  providers.stripe.answerNext({ instead: 'reset' }, { matches: isSearch })
  await expect(process()).rejects.toThrow()
  await expectUndecided()
  await expect(process()).rejects.toMatchObject({ code: 'balance_insufficient' })
  await expectGivenBack('balance_insufficient')
})

test('a worker that dies in between: the run comes back, and goes on where it was', async () => {
  providers.stripe.loseAnswer({ instead: 'reset' }, { matches: isCreate })
  await processDomesticPayout.trigger({ tenantId, payoutId })
  await kit.drain()
  await expectUndecided()
  await kit.advance('1h')
  expect(await kit.drain()).toMatchObject({ completed: 1 })
  await expectPaidOnce()
})

test('Stripe asks to wait: the run is held and nothing is given back', async () => {
  const wait = { ...refuse({ status: 429, code: 'rate_limit' }), headers: { 'retry-after': '60' } }
  providers.stripe.answerNext(wait, { matches: isCreate })
  const { id } = await processDomesticPayout.trigger({ tenantId, payoutId })
  await kit.drain()
  expect(await runs.get(id)).toMatchObject({ state: 'held' })
  await expectUndecided()
})

test('Stripe refuses the key: nothing is given back', async () => {
  const answer = refuse({ status: 401, message: 'Invalid API Key provided' })
  providers.stripe.answerNext(answer, { matches: isCreate })
  await expect(process()).rejects.toThrow()
  await expectUndecided()
})

test('a transfer of a payout that ended meanwhile is said loudly, never swallowed', async () => {
  const goOn = providers.stripe.pause()
  const run = process()
  await expect.poll(() => keysSent()).toHaveLength(1)
  const refused = { code: 'other_run', reason: 'Another run said so' }
  await withTenant(tenantId, () => failPayout(payoutId, refused))
  goOn()
  await expectAbort(run, /made transfer tr_\d+ for payout .* ended in another way/)
})

test('what cannot be processed is refused before anything is asked', async () => {
  await expectAbort(process('none'), /no payout none/)
  const cancelled = await addPayout(creatorId, { status: 'cancelled' })
  await expectAbort(process(cancelled), /is cancelled/)
  const elsewhere = await addPayout(creatorId, { status: 'completed' })
  await expectAbort(process(elsewhere), /completed without a Stripe transfer/)
  await expectAbort(process(await addPayout(creatorId, { method: 'wise' })), /goes through wise/)
  await set(tenantId, 'payouts', payoutId, 'status', 'processing')
  await set(tenantId, 'creators', creatorId, 'stripe_connect_id', null)
  await expectAbort(process(), /stripe_connect_id is gone/)
  expect(keysSent()).toEqual([])
})
