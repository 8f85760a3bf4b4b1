import { expect, test } from 'vitest'
import { withTenant } from '../../../src/default-platform.ts'
import { claimPayout, type PayoutMethod } from '../../../tasks/payouts/claim-payout.ts'
import { failPayout } from '../../../tasks/payouts/fail-payout.ts'
import { payoutUuid } from '../../../tasks/payouts/payout-uuid.ts'
import { expectAbort, tenantId, useTestPlatform } from '../kit.ts'
import { add, expectLedgerToAgree, find, set } from '../rows.ts'
import { addCreatorWithMoney, addPayout, expectBalance, ledgerOf } from './payout-rows.ts'

useTestPlatform()

const claim = (payoutId: string, method: PayoutMethod = 'stripe') =>
  withTenant(tenantId, () => claimPayout(payoutId, method))

const refused = { code: 'no_such_account', reason: 'No such account' }
const fail = (payoutId: string, ...from: ('processing' | 'completed')[]) =>
  withTenant(tenantId, () =>
    from.length > 0 ? failPayout(payoutId, refused, from) : failPayout(payoutId, refused),
  )

test('a claim takes the money, once, and says so in the ledger', async () => {
  const creatorId = await addCreatorWithMoney()
  const payoutId = await addPayout(creatorId)
  expect(await claim(payoutId)).toMatchObject({
    status: 'processing',
    isNew: true,
    netAmountCents: 5_900,
    currency: 'USD',
    account: 'acct_creator',
    stripeTransferId: null,
  })
  expect(await claim(payoutId)).toMatchObject({ status: 'processing', isNew: false })
  expect(await find(tenantId, 'payouts', payoutId)).toMatchObject({
    status: 'processing',
    initiated_at: expect.any(Date),
  })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
  await expectBalance(creatorId, 4_000)
  await expectLedgerToAgree(tenantId)
})

test('of claims at once, one is new; of two payouts for one balance, one is paid', async () => {
  const creatorId = await addCreatorWithMoney()
  const payouts = [await addPayout(creatorId), await addPayout(creatorId)]
  const claims = await Promise.allSettled([...payouts, ...payouts, ...payouts].map((id) => claim(id)))
  const made = claims.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  expect(made.filter(({ isNew }) => isNew)).toHaveLength(1)
  expect(new Set(made.map(({ id }) => id)).size).toBe(1)
  await expectBalance(creatorId, 4_000)
  await expectLedgerToAgree(tenantId)
})

test('money that was taken when the payout was made is not taken again', async () => {
  const creatorId = await addCreatorWithMoney({ balance_cents: 6_000 })
  const payoutId = await addPayout(creatorId)
  const taken = { type: 'payout', amount_cents: -6_000, balance_after_cents: 0, currency: 'USD' }
  await add(tenantId, 'balance_transactions', { creator_id: creatorId, payout_id: payoutId, ...taken })
  await set(tenantId, 'creators', creatorId, 'balance_cents', 0)

  expect(await claim(payoutId)).toMatchObject({ isNew: true })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
  expect(await fail(payoutId)).toBe(true)
  await expectBalance(creatorId, 6_000)
  await expectLedgerToAgree(tenantId)
})

test('a ledger that took another amount is for a person', async () => {
  const creatorId = await addCreatorWithMoney()
  const payoutId = await addPayout(creatorId)
  const taken = { type: 'payout', amount_cents: -5_900, balance_after_cents: 4_100, currency: 'USD' }
  await add(tenantId, 'balance_transactions', { creator_id: creatorId, payout_id: payoutId, ...taken })
  await expectAbort(claim(payoutId), /about 6000 cents, but the ledger took 5900/)
})

test.each([
  ['paused', { status: 'paused' }, {}, /is paused; payout .* stays pending/],
  ['terminated', { status: 'terminated' }, {}, /is terminated/],
  ['paid in another currency', { currency: 'EUR' }, {}, /is in USD, but creator .* is paid in EUR/],
  ['without an account', { stripe_connect_id: null }, {}, /has no stripe_connect_id/],
  ['without an account at Wise', { wise_recipient_id: null }, { method: 'wise' }, /has no wise_recipient_id/],
  ['of whom the fee takes all', {}, { fee_cents: 6_000, net_amount_cents: 0 }, /nothing is left/],
  ['without enough money', { balance_cents: 5_999 }, {}, /has 5999 cents available, payout .* needs 6000/],
])('a creator %s is not paid, and the payout stays pending', async (_, creator, payout, message) => {
  const creatorId = await addCreatorWithMoney(creator)
  const payoutId = await addPayout(creatorId, payout)
  await expectAbort(claim(payoutId, 'method' in payout ? 'wise' : 'stripe'), message)
  expect(await find(tenantId, 'payouts', payoutId)).toMatchObject({ status: 'pending', initiated_at: null })
  expect(await ledgerOf(payoutId)).toEqual([])
  await expectLedgerToAgree(tenantId)
})

test('what cannot be claimed is refused', async () => {
  const creatorId = await addCreatorWithMoney()
  await expectAbort(claim('none'), /no payout none/)
  await expectAbort(claim(await addPayout(creatorId), 'wise'), /goes through stripe, not through wise/)
  await expectAbort(
    claim(await addPayout(creatorId, { status: 'cancelled' })),
    /is cancelled; only a pending/,
  )
  expect(await claim(await addPayout(creatorId, { status: 'completed' }))).toMatchObject({
    status: 'completed',
    isNew: false,
  })
})

test('a failure gives the money back once, however many say so', async () => {
  const creatorId = await addCreatorWithMoney()
  const payoutId = await addPayout(creatorId)
  expect(await fail(payoutId)).toBe(false) // Pending: nothing was taken.
  await claim(payoutId)
  expect((await Promise.all([fail(payoutId), fail(payoutId), fail(payoutId)])).filter(Boolean)).toHaveLength(
    1,
  )
  expect(await fail(payoutId, 'processing', 'completed')).toBe(false)
  expect(await find(tenantId, 'payouts', payoutId)).toMatchObject({
    status: 'failed',
    failure_code: 'no_such_account',
    failure_reason: 'No such account',
    failed_at: expect.any(Date),
  })
  expect(await ledgerOf(payoutId)).toEqual(['payout -6000', 'refund 6000'])
  await expectBalance(creatorId, 10_000)
  await expectLedgerToAgree(tenantId)
  await expectAbort(claim(payoutId), /is failed \(no_such_account: No such account\)/)
})

test('a completed payout fails only where that is asked for', async () => {
  const creatorId = await addCreatorWithMoney()
  const payoutId = await addPayout(creatorId)
  await claim(payoutId)
  await set(tenantId, 'payouts', payoutId, 'status', 'completed')
  expect(await fail(payoutId)).toBe(false)
  expect(await fail(payoutId, 'processing', 'completed')).toBe(true)
  await expectLedgerToAgree(tenantId)
})

test('a failed payout that somebody sets back to pending is not paid again', async () => {
  const creatorId = await addCreatorWithMoney()
  const payoutId = await addPayout(creatorId)
  await claim(payoutId)
  await fail(payoutId)
  await set(tenantId, 'payouts', payoutId, 'status', 'pending')
  await expectAbort(claim(payoutId), /Make a new payout/)
})

test('the ledger itself refuses to take or give back a payout twice', async () => {
  const creatorId = await addCreatorWithMoney()
  const payoutId = await addPayout(creatorId)
  await claim(payoutId)
  await fail(payoutId)
  for (const again of [
    { type: 'payout', amount_cents: -6_000 },
    { type: 'refund', amount_cents: 6_000 },
  ]) {
    const row = {
      creator_id: creatorId,
      payout_id: payoutId,
      currency: 'USD',
      balance_after_cents: 0,
      ...again,
    }
    await expect(add(tenantId, 'balance_transactions', row)).rejects.toMatchObject({ code: '23505' })
  }
})

test('a payout has one UUID, of version 5, and no other payout has it', async () => {
  const uuid = await payoutUuid('rawdog', 'payout_1')
  expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(await payoutUuid('rawdog', 'payout_1')).toBe(uuid)
  expect(await payoutUuid('acme', 'payout_1')).not.toBe(uuid)
  expect(await payoutUuid('rawdog', 'payout_2')).not.toBe(uuid)
})

test('a currency that Stripe counts otherwise is not paid by Stripe', async () => {
  const creatorId = await addCreatorWithMoney({ currency: 'ISK' })
  const payoutId = await addPayout(creatorId, { currency: 'ISK' })
  await expectAbort(claim(payoutId), /Stripe counts ISK differently/)
  expect(await find(tenantId, 'payouts', payoutId)).toMatchObject({ status: 'pending' })
  await expectBalance(creatorId, 10_000)
})
