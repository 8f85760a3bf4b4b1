/**
 * Pays a payout out through Wise: quote -> transfer -> paid from the tenant's Wise balance. Whether it arrived is found
 * out by payouts/check-pending.
 *
 * Each step is stored before the next, and a retry resumes at the next:
 *  - a quote binds nobody. An expired one is replaced, but only while Wise has made no transfer of it;
 *  - the transfer carries a UUID made of the payout's id, and Wise answers the same UUID with the same transfer;
 *  - Wise pays a transfer once. Before paying, and after a refusal, its status is read.
 *
 * The recipient gets net_amount_cents exactly, in the payout's currency and from the tenant's balance in that currency;
 * Wise's fee comes on top, from the tenant. When the balance cannot pay, the transfer waits for a top-up and is tried again
 * every hour. The creator's money stays taken as long as anybody could still pay the transfer: Wise itself cancels it
 * after two weeks, and then the payout fails and the money goes back.
 */
import { AbortTaskError, defineTask, readServiceError, snooze, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
import { claimPayout } from './claim-payout.ts'
import { failPayout } from './fail-payout.ts'
import { payoutUuid } from './payout-uuid.ts'
import { readWiseStatus } from './wise-status.ts'

/** Longer than Wise keeps a transfer that nobody pays. */
const longestWaitDays = 21

export const processInternationalPayout = defineTask({
  id: 'payouts/process-international',
  payload: tenantPayload({ payoutId: z.string().min(1) }),
  services: ['wise'],
  retry: { maxAttempts: 6, minDelay: '10s', maxDelay: '1h', factor: 4 },
  timeout: '3m',

  async run({ payoutId }, { tenantId, sql, clients: { wise }, logger }) {
    const payout = await claimPayout(payoutId, 'wise')
    if (payout.status === 'completed') return summary('outgoing_payment_sent')

    const transferId = payout.wiseTransferId ?? (await makeTransfer())
    return summary(await payTransfer(transferId))

    async function makeTransfer(): Promise<string> {
      const targetAccount = payout.account
      if (!targetAccount) {
        throw new AbortTaskError(
          `The creator's wise_recipient_id is gone, and payout ${payoutId} has no transfer yet. Set it again, then replay this run.`,
        )
      }
      const quoteId = await findQuote(targetAccount)
      const customerTransactionId = await payoutUuid(tenantId, payoutId)
      const order = { quoteId, targetAccount, customerTransactionId, reference: 'Payout' }
      // A refusal of this request is none of an earlier one whose answer was lost; the quote tells.
      const { id } = await failIfRefused(wise.createTransfer(order), async () => {
        const quote = await wise.getQuote(quoteId)
        if (isExpired(quote)) snooze('1s')
        return quote.status === 'PENDING'
      })
      await keepTransfer(id)
      return id
    }

    async function findQuote(targetAccount: string): Promise<string> {
      if (payout.wiseQuoteId) {
        const quote = await wise.getQuote(payout.wiseQuoteId)
        // Also one that is ACCEPTED: asking for its transfer again gets the one that was made.
        if (!isExpired(quote)) return quote.id
      }
      const { currency, netAmountCents } = payout
      const amount = { targetCents: netAmountCents }
      const order = { sourceCurrency: currency, targetCurrency: currency, amount, targetAccount }
      const { id } = await failIfRefused(wise.createQuote(order), async () => true)
      return await keepQuote(id)
    }

    /** Two runs of one payout go on with the same quote: the one that was stored first. */
    async function keepQuote(quoteId: string): Promise<string> {
      await sql`
        UPDATE payouts SET wise_quote_id = ${quoteId}
        WHERE id = ${payoutId} AND status = 'processing' AND wise_transfer_id IS NULL
          AND wise_quote_id IS NOT DISTINCT FROM ${payout.wiseQuoteId}`
      const kept = await sql<{ id: string | null }>`
        SELECT wise_quote_id AS id FROM payouts WHERE id = ${payoutId} AND status = 'processing'`
      const id = kept.rows[0]?.id
      if (!id) throw new AbortTaskError(`Payout ${payoutId} ended while it was processed. Nothing was paid.`)
      return id
    }

    async function keepTransfer(transferId: string): Promise<void> {
      const kept = await sql`
        UPDATE payouts SET wise_transfer_id = ${transferId}
        WHERE id = ${payoutId} AND status = 'processing' AND coalesce(wise_transfer_id, ${transferId}) = ${transferId}`
      if (kept.rowCount === 1) return
      // Only a run at the same moment can have ended the payout between the claim and now. Nothing is paid yet.
      logger.error({ payoutId, transferId }, 'a payout that is not under way has a transfer')
      throw new AbortTaskError(
        `Wise made transfer ${transferId} for payout ${payoutId}, which meanwhile ended in another way. It is not paid: cancel it in Wise.`,
      )
    }

    /** Answers the status of the transfer once it is paid. */
    async function payTransfer(transferId: string): Promise<string> {
      const before = await wise.getTransfer(transferId)
      if (before.status !== 'incoming_payment_waiting') return await endIfFailed(before)

      const refusal = await refusalOf(wise.fundTransfer(transferId))
      if (!refusal) {
        logger.info({ payoutId, transferId }, 'payout paid to wise')
        return 'processing'
      }
      // Wise refuses to pay a transfer twice, so it may be paid: by a run at the same moment, or by somebody at wise.com.
      const after = await wise.getTransfer(transferId)
      if (after.status !== 'incoming_payment_waiting') return await endIfFailed(after)
      if (refusal.error) throw refusal.error
      return await waitForMoney(transferId, refusal.code)
    }

    async function refusalOf(payment: Promise<{ status: string; errorCode: string | null }>) {
      try {
        const { status, errorCode } = await payment
        return status === 'COMPLETED' ? null : { code: errorCode ?? 'rejected', error: null }
      } catch (error) {
        const failure = readServiceError(error)
        if (failure?.kind !== 'permanent') throw error
        return { code: failure.code, error }
      }
    }

    async function endIfFailed(transfer: { id: string; status: string }): Promise<string> {
      const verdict = readWiseStatus(transfer.status)
      if (verdict !== 'failed') return transfer.status
      const reason = `Wise transfer ${transfer.id} is ${transfer.status}`
      await failPayout(payoutId, { code: transfer.status, reason })
      throw new AbortTaskError(
        `${reason}; payout ${payoutId} has failed and its money is the creator's again.`,
      )
    }

    async function waitForMoney(transferId: string, code: string): Promise<never> {
      logger.error({ payoutId, transferId, code }, 'wise cannot pay the transfer from the balance; top it up')
      const waited = await sql<{ too_long: boolean }>`
        SELECT initiated_at < now() - make_interval(days => ${longestWaitDays}) AS too_long
        FROM payouts WHERE id = ${payoutId}`
      if (!waited.rows[0]?.too_long) snooze('1h')
      throw new AbortTaskError(
        `Wise has not paid transfer ${transferId} of payout ${payoutId} for ${longestWaitDays} days (${code}). Pay or cancel it in Wise; payouts/check-pending then sees how it ended.`,
      )
    }

    /** Ends the payout when Wise has refused for good and has made nothing; throws what was thrown. */
    async function failIfRefused<T>(request: Promise<T>, hasMadeNothing: () => Promise<boolean>): Promise<T> {
      try {
        return await request
      } catch (error) {
        const failure = readServiceError(error)
        if (failure?.kind === 'permanent' && (await hasMadeNothing())) {
          const failed = await failPayout(payoutId, { code: failure.code, reason: failure.message })
          logger.error({ payoutId, code: failure.code, failed }, 'payout failed')
        }
        throw error
      }
    }

    function summary(wiseStatus: string) {
      return { payoutId, status: payout.status, wiseStatus }
    }
  },
})

function isExpired(quote: { status: string; expiresAt: Date }): boolean {
  return quote.status === 'EXPIRED' || (quote.status === 'PENDING' && quote.expiresAt.getTime() <= Date.now())
}
