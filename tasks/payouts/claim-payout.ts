/**
 * Claims a payout for processing, and with it the money: pending -> processing, the creator's available balance goes
 * down and the ledger says so, in one transaction. From then on a payout is under way until a provider has said how it
 * ended; only fail-payout.ts gives the money back.
 *
 * Whoever creates a payout may have taken its money already (a ledger row of type payout that names it); then the claim
 * takes nothing. The ledger decides, so either way the money is taken once.
 */
import { AbortTaskError, sql, transaction } from '@cgk-platform/jobs'

export type PayoutMethod = 'stripe' | 'wise'

export interface ClaimedPayout {
  id: string
  status: 'processing' | 'completed'
  /** This call has claimed it. False: an earlier one did, and how far it came is not known. */
  isNew: boolean
  /** What arrives at the creator. */
  netAmountCents: number
  currency: string
  /** The creator's account at the provider. */
  account: string | null
  stripeTransferId: string | null
  wiseQuoteId: string | null
  wiseTransferId: string | null
  initiatedAt: Date
}

/**
 * Claims it, or answers the claim that is already there.
 * @throws AbortTaskError for a payout that cannot be processed (any more); nothing has changed then.
 */
export async function claimPayout(payoutId: string, method: PayoutMethod): Promise<ClaimedPayout> {
  return await transaction(async () => {
    // Lock order: the payout, then its creator, then the ledger.
    const payouts = await sql<PayoutRow>`
      SELECT creator_id, amount_cents, net_amount_cents, currency, method, status, stripe_transfer_id, wise_quote_id,
             wise_transfer_id, failure_code, failure_reason, coalesce(initiated_at, now()) AS initiated_at
      FROM payouts WHERE id = ${payoutId} FOR NO KEY UPDATE`
    const payout = payouts.rows[0]
    if (!payout) throw new AbortTaskError(`There is no payout ${payoutId}.`)
    if (payout.method !== method) {
      throw new AbortTaskError(`Payout ${payoutId} goes through ${payout.method}, not through ${method}.`)
    }

    const creators = await sql<CreatorRow>`
      SELECT id, status, currency, balance_cents, stripe_connect_id, wise_recipient_id FROM creators
      WHERE id = ${payout.creator_id} FOR NO KEY UPDATE`
    const creator = creators.rows[0]!
    const account = method === 'stripe' ? creator.stripe_connect_id : creator.wise_recipient_id

    if (payout.status === 'processing' || payout.status === 'completed') {
      return claimed(payoutId, payout, { status: payout.status, account, isNew: false })
    }
    if (payout.status !== 'pending') {
      const why = payout.failure_code ? ` (${payout.failure_code}: ${payout.failure_reason})` : ''
      throw new AbortTaskError(
        `Payout ${payoutId} is ${payout.status}${why}; only a pending payout is processed.`,
      )
    }
    refuseUnpayable(payoutId, payout, creator)
    if (!account) {
      const column = method === 'stripe' ? 'stripe_connect_id' : 'wise_recipient_id'
      throw new AbortTaskError(`Creator ${creator.id} has no ${column}; payout ${payoutId} stays pending.`)
    }

    await takeMoney(payoutId, payout, creator)
    await sql`UPDATE payouts SET status = 'processing', initiated_at = now() WHERE id = ${payoutId}`
    return claimed(payoutId, payout, { status: 'processing', account, isNew: true })
  })
}

interface PayoutRow {
  creator_id: string
  amount_cents: number
  net_amount_cents: number
  currency: string
  method: PayoutMethod
  status: string
  stripe_transfer_id: string | null
  wise_quote_id: string | null
  wise_transfer_id: string | null
  failure_code: string | null
  failure_reason: string | null
  initiated_at: Date
}

interface CreatorRow {
  id: string
  status: string
  currency: string
  balance_cents: number
  stripe_connect_id: string | null
  wise_recipient_id: string | null
}

/** Stripe counts these in hundredths, though they have none. */
const countedOtherwise = ['ISK', 'UGX']

function refuseUnpayable(payoutId: string, payout: PayoutRow, creator: CreatorRow): void {
  if (payout.method === 'stripe' && countedOtherwise.includes(payout.currency)) {
    throw new AbortTaskError(
      `Stripe counts ${payout.currency} differently from this platform; payout ${payoutId} stays pending. Pay it in another way.`,
    )
  }
  if (creator.status !== 'approved' && creator.status !== 'active') {
    throw new AbortTaskError(
      `Creator ${creator.id} is ${creator.status}; payout ${payoutId} stays pending until somebody decides.`,
    )
  }
  if (payout.net_amount_cents === 0) {
    throw new AbortTaskError(`Of payout ${payoutId} nothing is left for the creator after the fee.`)
  }
  if (creator.currency !== payout.currency) {
    throw new AbortTaskError(
      `Payout ${payoutId} is in ${payout.currency}, but creator ${creator.id} is paid in ${creator.currency}.`,
    )
  }
}

async function takeMoney(payoutId: string, payout: PayoutRow, creator: CreatorRow): Promise<void> {
  const ledger = await sql<{ taken: number; returned: boolean }>`
    SELECT coalesce(-sum(amount_cents) FILTER (WHERE type = 'payout'), 0)::int AS taken,
           coalesce(bool_or(type = 'refund'), false) AS returned
    FROM balance_transactions WHERE payout_id = ${payoutId} AND type IN ('payout', 'refund')`
  const { taken, returned } = ledger.rows[0]!
  if (returned) {
    throw new AbortTaskError(
      `Payout ${payoutId} has failed before and its money was given back. Make a new payout: providers know this one.`,
    )
  }
  if (taken === payout.amount_cents) return
  if (taken !== 0) {
    throw new AbortTaskError(
      `Payout ${payoutId} is about ${payout.amount_cents} cents, but the ledger took ${taken} for it.`,
    )
  }
  if (creator.balance_cents < payout.amount_cents) {
    throw new AbortTaskError(
      `Creator ${creator.id} has ${creator.balance_cents} cents available, payout ${payoutId} needs ${payout.amount_cents}; it stays pending.`,
    )
  }
  await sql`
    WITH creator AS (
      UPDATE creators SET balance_cents = balance_cents - ${payout.amount_cents} WHERE id = ${creator.id}
      RETURNING id, currency, balance_cents
    )
    INSERT INTO balance_transactions
      (creator_id, type, balance, amount_cents, currency, balance_after_cents, payout_id, description)
    SELECT id, 'payout', 'available', -${payout.amount_cents}::int, currency, balance_cents, ${payoutId}, 'Paid out'
    FROM creator`
}

function claimed(
  id: string,
  payout: PayoutRow,
  claim: Pick<ClaimedPayout, 'status' | 'account' | 'isNew'>,
): ClaimedPayout {
  return {
    id,
    ...claim,
    netAmountCents: payout.net_amount_cents,
    currency: payout.currency,
    stripeTransferId: payout.stripe_transfer_id,
    wiseQuoteId: payout.wise_quote_id,
    wiseTransferId: payout.wise_transfer_id,
    initiatedAt: payout.initiated_at,
  }
}
