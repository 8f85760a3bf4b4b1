/** A creator with money, and a payout of it. */
import { expect } from 'vitest'
import { sql, withTenant } from '../../../src/default-platform.ts'
import { tenantId } from '../kit.ts'
import { add, addCreator, find } from '../rows.ts'

/** 100.00 USD available, with the ledger row that says where it came from. Answers its id. */
export async function addCreatorWithMoney(fields: object = {}): Promise<string> {
  const creatorId = await addCreator(tenantId, {
    balance_cents: 10_000,
    stripe_connect_id: 'acct_creator',
    wise_recipient_id: '700',
    ...fields,
  })
  const { balance_cents, currency } = await find(tenantId, 'creators', creatorId)
  if (balance_cents > 0) {
    const earned = { amount_cents: balance_cents, balance_after_cents: balance_cents }
    await add(tenantId, 'balance_transactions', {
      creator_id: creatorId,
      type: 'adjustment',
      currency,
      ...earned,
    })
  }
  return creatorId
}

/** A pending payout of 60.00 USD, of which 1.00 is the fee. Answers its id. */
export async function addPayout(creatorId: string, fields: object = {}): Promise<string> {
  return await add(tenantId, 'payouts', {
    creator_id: creatorId,
    amount_cents: 6_000,
    fee_cents: 100,
    net_amount_cents: 5_900,
    currency: 'USD',
    method: 'stripe',
    ...fields,
  })
}

export async function expectBalance(creatorId: string, cents: number): Promise<void> {
  expect((await find(tenantId, 'creators', creatorId)).balance_cents).toBe(cents)
}

/** The ledger rows of a payout, oldest first, as `payout -6000`. */
export async function ledgerOf(payoutId: string): Promise<string[]> {
  const { rows } = await withTenant(
    tenantId,
    () => sql<{ type: string; amount_cents: number }>`
      SELECT type, amount_cents FROM balance_transactions WHERE payout_id = ${payoutId} ORDER BY position`,
  )
  return rows.map(({ type, amount_cents }) => `${type} ${amount_cents}`)
}
