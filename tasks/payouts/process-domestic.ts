/**
 * Pays a payout out as a Stripe transfer to the creator's connected account. Whether it stays there is found out by
 * payouts/check-pending.
 *
 * One payout is one transfer, however many runs it has:
 *  - the Idempotency-Key comes from the payout, not from the run, so Stripe answers a repeat with the first transfer;
 *  - Stripe forgets keys (after 24 hours at the earliest), and answers a repeat of a lost answer with the 500 it kept. So
 *    whoever finds the payout claimed already looks for its transfer, by transfer_group, before making one.
 *
 * The money goes back to the creator only when Stripe has refused the transfer for good and there is none: an account
 * that cannot be paid, but also an empty balance of the tenant (the payout is failed, and a new one can be made). When
 * nobody knows, the payout stays processing and the run is retried.
 */
import { AbortTaskError, defineTask, readServiceError, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
import { claimPayout } from './claim-payout.ts'
import { failPayout } from './fail-payout.ts'

export const processDomesticPayout = defineTask({
  id: 'payouts/process-domestic',
  payload: tenantPayload({ payoutId: z.string().min(1) }),
  services: ['stripe'],
  retry: { maxAttempts: 6, minDelay: '10s', maxDelay: '1h', factor: 4 },
  timeout: '2m',

  async run({ payoutId }, { tenantId, sql, clients: { stripe }, logger }) {
    const payout = await claimPayout(payoutId, 'stripe')
    if (payout.stripeTransferId) return summary(payout.stripeTransferId, true)
    if (payout.status === 'completed') {
      throw new AbortTaskError(
        `Payout ${payoutId} is completed without a Stripe transfer; it was paid elsewhere.`,
      )
    }

    /** Names the payout at Stripe; two tenants may share an account there. */
    const name = `payout_${tenantId}_${payoutId}`
    const earlier = payout.isNew ? null : await findTransfer()
    const transfer = earlier ?? (await makeTransfer())
    await keepTransfer(transfer.id)
    logger.info({ payoutId, transferId: transfer.id }, 'payout transferred')
    return summary(transfer.id, earlier !== null)

    async function findTransfer(): Promise<{ id: string } | null> {
      const { data } = await stripe.transfers.list({ transfer_group: name, limit: 1 })
      return data[0] ?? null
    }

    async function makeTransfer(): Promise<{ id: string }> {
      if (!payout.account) {
        throw new AbortTaskError(
          `The creator's stripe_connect_id is gone, and Stripe has no transfer for payout ${payoutId}. Set it again, then replay this run.`,
        )
      }
      try {
        return await stripe.transfers.create(
          {
            amount: payout.netAmountCents,
            currency: payout.currency.toLowerCase(),
            destination: payout.account,
            transfer_group: name,
            metadata: { payout_id: payoutId, tenant_id: tenantId },
          },
          { idempotencyKey: name },
        )
      } catch (error) {
        const failure = readServiceError(error)
        if (failure?.kind !== 'permanent') throw error
        // A refusal of this request is none of an earlier one: a key used with other parameters, for example.
        const made = await findTransfer()
        if (made) return made
        const failed = await failPayout(payoutId, { code: failure.code, reason: failure.message })
        logger.error({ payoutId, code: failure.code, failed }, 'payout failed')
        throw error
      }
    }

    async function keepTransfer(transferId: string): Promise<void> {
      const kept = await sql`
        UPDATE payouts SET stripe_transfer_id = ${transferId}
        WHERE id = ${payoutId} AND status IN ('processing', 'completed')
          AND coalesce(stripe_transfer_id, ${transferId}) = ${transferId}`
      if (kept.rowCount === 1) return
      // Only a run at the same moment can have ended the payout between the claim and now. Money has moved, so nobody
      // may miss it.
      logger.fatal({ payoutId, transferId }, 'a payout that is not under way has a transfer')
      throw new AbortTaskError(
        `Stripe made transfer ${transferId} for payout ${payoutId}, which meanwhile ended in another way. Reverse the transfer in Stripe, or correct the payout and the creator's balance.`,
      )
    }

    function summary(transferId: string, alreadyTransferred: boolean) {
      return { payoutId, status: payout.status, stripeTransferId: transferId, alreadyTransferred }
    }
  },
})
