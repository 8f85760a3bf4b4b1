import { expect, test } from 'vitest'
import { creditCommission } from '../../../tasks/orders/credit-commission.ts'
import { expectAbort, kit, tenantId, useTestPlatform } from '../kit.ts'
import { addCreator, addOrder, expectLedgerToAgree, find, set } from '../rows.ts'

useTestPlatform()

const run = (orderId: string) => kit.runTask(creditCommission, { tenantId, orderId })

test('the first code of an earning creator is credited: commission, balance and ledger', async () => {
  const second = await addCreator(tenantId, { referral_code: 'SECOND' })
  const creatorId = await addCreator(tenantId, { referral_code: 'Summer', commission_rate_pct: '12.50' })
  await addCreator(tenantId, { referral_code: 'GONE', status: 'terminated' })
  const orderId = await addOrder(tenantId, {
    subtotal_cents: 1000,
    discount_cents: 100,
    discount_codes: ['other', 'gone', 'sUMMER', 'second'],
    order_placed_at: new Date('2026-01-10T00:00:00Z'),
  })

  const answer = await run(orderId)
  // 12.5 % of 9.00 is 112.5 cents; half a cent goes up.
  expect(answer).toMatchObject({
    credited: true,
    alreadyCredited: false,
    creatorId,
    commissionCents: 113,
    currency: 'USD',
  })
  const { commissionId } = answer as { commissionId: string }
  expect(await find(tenantId, 'commissions', commissionId)).toMatchObject({
    promo_code: 'sUMMER',
    net_sales_cents: 900,
    commission_percent: '12.50',
    status: 'pending',
    hold_until: new Date('2026-02-09T00:00:00Z'),
  })
  expect((await find(tenantId, 'creators', creatorId)).pending_balance_cents).toBe(113)
  expect((await find(tenantId, 'creators', second)).pending_balance_cents).toBe(0)
  await expectLedgerToAgree(tenantId)

  expect(await run(orderId)).toEqual({ ...answer, alreadyCredited: true })
  await set(tenantId, 'orders', orderId, 'status', 'refunded')
  expect(await run(orderId)).toMatchObject({ alreadyCredited: true })
})

test('runs at once for one order and for many of one creator credit each order once', async () => {
  const creatorId = await addCreator(tenantId, { referral_code: 'SUMMER', commission_rate_pct: '10.00' })
  const order = (subtotal_cents: number) => addOrder(tenantId, { discount_codes: ['summer'], subtotal_cents })
  const same = await order(10_000)
  const many = await Promise.all(Array.from({ length: 8 }, () => order(777)))
  const all = [...Array.from({ length: 8 }, () => same), ...many, ...many]
  const answers = await Promise.all(all.map(run))
  expect(answers.filter((answer) => 'alreadyCredited' in answer && !answer.alreadyCredited)).toHaveLength(9)
  // 10 % of 7.77 is 77.7 cents.
  expect((await find(tenantId, 'creators', creatorId)).pending_balance_cents).toBe(1_000 + 8 * 78)
  await expectLedgerToAgree(tenantId)
})

test.each(['pending', 'authorized', 'partially_paid', 'refunded', 'voided'])(
  'an order whose payment is %s earns nothing',
  async (financial_status) => {
    await addCreator(tenantId, { referral_code: 'SUMMER' })
    const orderId = await addOrder(tenantId, { financial_status, discount_codes: ['SUMMER'] })
    await expectAbort(run(orderId), new RegExp(`payment is ${financial_status}`))
  },
)

test('nor one that was cancelled or refunded, is in another currency, or is not there', async () => {
  await addCreator(tenantId, { referral_code: 'SUMMER' })
  const order = (fields: object) => addOrder(tenantId, { discount_codes: ['SUMMER'], ...fields })
  await expectAbort(run(await order({ status: 'cancelled' })), /is cancelled/)
  await expectAbort(run(await order({ status: 'refunded' })), /is refunded/)
  await expectAbort(run(await order({ currency: 'EUR' })), /EUR.*USD/)
  await expectAbort(run('nope'), /no order nope/)
})

test('nothing to credit is an answer', async () => {
  await addCreator(tenantId, { referral_code: 'GONE', status: 'terminated' })
  await addCreator(tenantId, { referral_code: 'HALT', status: 'paused' })
  await addCreator(tenantId, { referral_code: 'SUMMER' })
  const reason = async (fields: Record<string, unknown>) => await run(await addOrder(tenantId, fields))
  expect(await reason({})).toEqual({ credited: false, reason: 'no discount code' })
  expect(await reason({ discount_codes: ['gone', 'halt', 'nobody', "o'x"] })).toEqual({
    credited: false,
    reason: 'no earning creator has this code',
  })
  expect(await reason({ discount_codes: ['SUMMER'], subtotal_cents: 100, discount_cents: 500 })).toEqual({
    credited: false,
    reason: 'the commission is less than a cent',
  })
})

test('a partly refunded order was paid and earns', async () => {
  await addCreator(tenantId, { referral_code: 'SUMMER' })
  const fields = { discount_codes: ['SUMMER'], financial_status: 'partially_refunded' }
  expect(await run(await addOrder(tenantId, fields))).toMatchObject({ credited: true })
})

test.each([
  [1, '50.00', 1],
  [5, '10.00', 1],
  [4, '10.00', 0],
  [333, '33.33', 111],
  [105, '10.00', 11],
  [2_147_483_647, '100.00', 2_147_483_647],
])('%d cents at %s %% are %d cents', async (subtotal_cents, commission_rate_pct, cents) => {
  await addCreator(tenantId, { referral_code: 'CODE', commission_rate_pct })
  const answer = await run(await addOrder(tenantId, { subtotal_cents, discount_codes: ['CODE'] }))
  expect('commissionCents' in answer ? answer.commissionCents : 0).toBe(cents)
})

test('without a date of the order the hold is thirty days from now', async () => {
  await addCreator(tenantId, { referral_code: 'CODE' })
  const answer = await run(await addOrder(tenantId, { discount_codes: ['CODE'] }))
  const { hold_until } = await find(
    tenantId,
    'commissions',
    (answer as { commissionId: string }).commissionId,
  )
  expect((hold_until.getTime() - Date.now()) / 86_400_000).toBeCloseTo(30, 1)
})
