import { beforeEach, expect, test } from 'vitest'
import { InvalidPayloadError } from '../../../src/errors.ts'
import { creditCommission } from '../../../tasks/orders/credit-commission.ts'
import { matureCommissions } from '../../../tasks/payouts/mature-commissions.ts'
import { expectAbort, kit, tenantId, useTestPlatform } from '../kit.ts'
import { addCreator, addOrder, expectLedgerToAgree, find, set } from '../rows.ts'

useTestPlatform()

/** Longer ago than the hold. */
let order_placed_at: Date
beforeEach(() => {
  order_placed_at = new Date(Date.now() - 40 * 86_400_000)
})

const mature = (asOf?: string) =>
  kit.runTask(matureCommissions, { tenantId, ...(asOf !== undefined && { asOf }) })

async function credit(code: string, fields: object = {}): Promise<string> {
  const orderId = await addOrder(tenantId, { discount_codes: [code], order_placed_at, ...fields })
  await kit.runTask(creditCommission, { tenantId, orderId })
  return orderId
}

const creator = (referral_code: string) =>
  addCreator(tenantId, { referral_code, commission_rate_pct: '10.00' })

async function balances(creatorId: string): Promise<{ available: number; pending: number }> {
  const row = await find(tenantId, 'creators', creatorId)
  return { available: row.balance_cents, pending: row.pending_balance_cents }
}

test('what is past its hold becomes available, once', async () => {
  const creatorId = await creator('A')
  for (const subtotal_cents of [1_000, 2_000, 3_000]) await credit('A', { subtotal_cents })
  await credit('A', { order_placed_at: new Date() }) // Still on hold.

  expect(await mature()).toMatchObject({ commissions: 3, creators: 1, heldBack: 0 })
  expect(await balances(creatorId)).toEqual({ available: 600, pending: 1_000 })
  await expectLedgerToAgree(tenantId)
  expect(await mature()).toMatchObject({ commissions: 0, creators: 0 })
  await expectLedgerToAgree(tenantId)
})

test('a paused creator still earns; a terminated one and a returned order are held back', async () => {
  const [paused, gone, fine] = [await creator('P'), await creator('G'), await creator('F')]
  for (const code of ['P', 'G']) await credit(code)
  const returned = await credit('F')
  await set(tenantId, 'orders', returned, 'status', 'refunded')
  await set(tenantId, 'creators', paused, 'status', 'paused')
  await set(tenantId, 'creators', gone, 'status', 'terminated')

  expect(await mature()).toMatchObject({ commissions: 1, creators: 1, heldBack: 2 })
  expect(await balances(paused)).toEqual({ available: 1_000, pending: 0 })
  for (const id of [gone, fine]) expect(await balances(id)).toEqual({ available: 0, pending: 1_000 })
  await expectLedgerToAgree(tenantId)
})

test('a creator whose rows disagree waits for a person and stops nobody else', async () => {
  const [wrong, foreign] = [await creator('W'), await creator('E')]
  await creator('A')
  for (const code of ['W', 'E', 'A']) await credit(code)
  await set(tenantId, 'creators', wrong, 'pending_balance_cents', 1)
  await set(tenantId, 'creators', foreign, 'currency', 'EUR')

  expect(await mature()).toMatchObject({ commissions: 1, heldBack: 2 })
  await set(tenantId, 'creators', wrong, 'pending_balance_cents', 1_000)
  expect(await mature()).toMatchObject({ commissions: 1, heldBack: 1 })
  await expectLedgerToAgree(tenantId)
})

test('asOf looks back, and never ahead', async () => {
  await creator('A')
  await credit('A')
  expect(await mature('2020-01-01T00:00:00+02:00')).toEqual({
    asOf: '2019-12-31T22:00:00.000Z',
    commissions: 0,
    creators: 0,
    heldBack: 0,
  })
  await expectAbort(mature(new Date(Date.now() + 3_600_000).toISOString()), /in the future/)
  await expect(mature('yesterday')).rejects.toThrow(InvalidPayloadError)
})

test('more creators than fit a batch, runs at once, and credits meanwhile: to the cent', async () => {
  const codes = Array.from({ length: 130 }, (_, index) => `M${index}`)
  await Promise.all(codes.map(creator))
  await Promise.all(codes.map((code) => credit(code, { subtotal_cents: 999 })))
  const [answers] = await Promise.all([
    Promise.all([mature(), mature(), mature()]),
    Promise.all(codes.slice(0, 50).map((code) => credit(code))),
  ])
  const rest = await mature()
  expect([...answers, rest].reduce((sum, { commissions }) => sum + commissions, 0)).toBe(180)
  await expectLedgerToAgree(tenantId)
})

test('a cancelled run stops', async () => {
  const signal = AbortSignal.abort(new Error('stop'))
  await expect(kit.runTask(matureCommissions, { tenantId }, { signal })).rejects.toThrow('stop')
})
