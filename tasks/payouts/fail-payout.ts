/**
 * Ends a payout whose money surely did not arrive: failed, and what was taken for it is the creator's again, with a
 * ledger row, in one transaction. Call it only when the provider has said so. After a timeout or a reset the money may
 * have left: giving it back then would pay twice.
 */
import { sql, transaction } from '@cgk-platform/jobs'

export interface PayoutFailure {
  /** The provider's own where it has one. */
  code: string
  /** The provider's own words. */
  reason: string
}

/** False: it was not under way (any more), so somebody else has ended it and nothing is given back here. */
export async function failPayout(
  payoutId: string,
  { code, reason }: PayoutFailure,
  /** A completed payout fails as well when its money came back. */
  from: readonly ('processing' | 'completed')[] = ['processing'],
): Promise<boolean> {
  return await transaction(async () => {
    // Guarded: of two failures of one payout, one gives the money back. Lock order: the payout, its creator, the ledger.
    const failed = await sql<{ creator_id: string; amount_cents: number }>`
      UPDATE payouts
      SET status = 'failed', failed_at = now(), completed_at = NULL, failure_code = ${code}, failure_reason = ${reason}
      WHERE id = ${payoutId} AND status = ANY(${from}::text[])
      RETURNING creator_id, amount_cents`
    const payout = failed.rows[0]
    if (!payout) return false
    await sql`
      WITH creator AS (
        UPDATE creators SET balance_cents = balance_cents + ${payout.amount_cents} WHERE id = ${payout.creator_id}
        RETURNING id, currency, balance_cents
      )
      INSERT INTO balance_transactions
        (creator_id, type, balance, amount_cents, currency, balance_after_cents, payout_id, description)
      SELECT id, 'refund', 'available', ${payout.amount_cents}, currency, balance_cents, ${payoutId},
             ${`Payout failed: ${code}`}
      FROM creator`
    return true
  })
}
