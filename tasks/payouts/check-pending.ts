/**
 * Asks the providers how payouts under way have ended: processing -> completed, or failed with the money given back.
 * A Stripe transfer that stays is completed; one that was reversed has failed, even after it was completed. Wise tells by
 * the transfer's status (wise-status.ts).
 *
 * A payout that still has no transfer, or none that is paid, an hour after its claim has lost its run: it is handed to
 * its task again, which resumes where it stopped.
 *
 * One payout that cannot be checked does not keep the others from it; what went wrong is thrown at the end.
 */
import {
  defineTask,
  getTenantStripeClient,
  getTenantWiseClient,
  readServiceError,
  requireTenantStripeClient,
  requireTenantWiseClient,
  ServiceHeldError,
  tenantPayload,
} from '@cgk-platform/jobs'
import { z } from 'zod'
import type { PayoutMethod } from './claim-payout.ts'
import { failPayout, type PayoutFailure } from './fail-payout.ts'
import { processDomesticPayout } from './process-domestic.ts'
import { processInternationalPayout } from './process-international.ts'
import { readWiseStatus } from './wise-status.ts'

const transferEvent = z.object({ data: z.object({ object: z.object({ id: z.string().min(1) }) }) })

export const checkPendingPayouts = defineTask({
  id: 'payouts/check-pending',
  payload: tenantPayload({
    /** Without it, whichever the tenant has set up: hence no `services`, which would hold a tenant that has only one. */
    method: z.enum(['stripe', 'wise']).optional(),
    limit: z.number().int().min(1).max(1000).default(100),
    /** Only the payout of this transfer, and also when it is completed. */
    stripeTransferId: z.string().min(1).optional(),
  }),
  schedules: [{ cron: '0 * * * *', overlap: 'skip' }],
  webhooks: [
    {
      service: 'stripe',
      events: ['transfer.reversed'],
      payload({ body }) {
        const event = transferEvent.safeParse(body)
        return {
          method: 'stripe' as const,
          ...(event.success && { stripeTransferId: event.data.data.object.id }),
        }
      },
    },
  ],
  // What triggers it comes once: it is tried for most of a day.
  retry: { maxAttempts: 12, minDelay: '10s', maxDelay: '2h', factor: 3 },
  concurrency: { perTenant: 1 },

  async run({ method, limit, stripeTransferId = null }, { tenantId, sql, logger, signal }) {
    const ask = await askers(tenantId, method)

    // What was looked at longest ago comes first, so payouts that stay under way for long never hide the others.
    const due = await sql<PayoutRow>`
      SELECT id, method, stripe_transfer_id, wise_transfer_id,
             coalesce(initiated_at, created_at) < now() - interval '1 hour' AS is_overdue,
             coalesce(initiated_at, created_at) < now() - interval '14 days' AS is_late
      FROM payouts
      WHERE method = ANY(${Object.keys(ask)}::text[])
        AND (status = 'processing' OR (status = 'completed' AND stripe_transfer_id = ${stripeTransferId}))
        AND stripe_transfer_id IS NOT DISTINCT FROM coalesce(${stripeTransferId}, stripe_transfer_id)
      ORDER BY updated_at, id LIMIT ${limit}`

    const count = { completed: 0, failed: 0, resumed: 0, processing: 0 }
    const errors: { method: PayoutMethod; error: unknown }[] = []
    for (const payout of due.rows) {
      signal.throwIfAborted()
      // A provider that takes no requests now need not be asked for each of the others.
      if (errors.some((one) => one.method === payout.method && isOfAccount(one.error))) continue
      try {
        count[await check(payout)] += 1
      } catch (error) {
        signal.throwIfAborted()
        errors.push({ method: payout.method, error })
        const reason = readServiceError(error)?.code ?? String(error)
        logger.error({ payoutId: payout.id, reason }, 'payout could not be checked')
      }
    }
    const ids = due.rows.map(({ id }) => id)
    await sql`UPDATE payouts SET updated_at = now() WHERE id = ANY(${ids}::text[]) AND status = 'processing'`
    logger.info({ ...count, errors: errors.length }, 'payouts checked')

    // What concerns the whole account goes first: the platform holds the run until that is solved.
    const worst =
      errors.find(({ error }) => isOfAccount(error)) ??
      errors.find(({ error }) => readServiceError(error)?.kind === 'transient') ??
      errors[0]
    if (worst) throw worst.error
    return count

    async function check(payout: PayoutRow): Promise<keyof typeof count> {
      const state = await ask[payout.method]!(payout)
      if (payout.is_late && (state === 'processing' || state === 'unpaid')) {
        logger.error(
          { payoutId: payout.id, state },
          'payout is under way for more than two weeks; look at it',
        )
      }
      if (state === 'processing') return 'processing'
      if (state === 'unpaid') return payout.is_overdue ? await resume(payout) : 'processing'
      if (state === 'completed') return await complete(payout)
      const failed = await failPayout(payout.id, state, ['processing', 'completed'])
      if (failed) logger.error({ payoutId: payout.id, code: state.code }, 'payout failed')
      return 'failed'
    }

    async function complete({ id }: PayoutRow): Promise<'completed'> {
      await sql`
        UPDATE payouts SET status = 'completed', completed_at = now() WHERE id = ${id} AND status = 'processing'`
      return 'completed'
    }

    async function resume({ id: payoutId, method }: PayoutRow): Promise<'resumed'> {
      const task = method === 'stripe' ? processDomesticPayout : processInternationalPayout
      // While such a run is open there is no second one.
      await task.trigger({ tenantId, payoutId }, { idempotencyKey: `resume:${payoutId}` })
      return 'resumed'
    }
  },
})

interface PayoutRow {
  id: string
  method: PayoutMethod
  stripe_transfer_id: string | null
  wise_transfer_id: string | null
  is_overdue: boolean
  is_late: boolean
}

type State = 'completed' | 'processing' | 'unpaid' | PayoutFailure

/** How to ask about a payout, for each method that the tenant has set up; one that is demanded must be. */
async function askers(tenantId: string, demanded: PayoutMethod | undefined) {
  const all: Partial<Record<PayoutMethod, (payout: PayoutRow) => Promise<State>>> = {}

  const stripe =
    demanded === 'stripe' ? await requireTenantStripeClient(tenantId) : await getTenantStripeClient(tenantId)
  if (stripe && demanded !== 'wise') {
    all.stripe = async ({ stripe_transfer_id }) => {
      if (!stripe_transfer_id) return 'unpaid'
      const transfer = await stripe.transfers.retrieve(stripe_transfer_id)
      // Partly reversed is not failed: what the creator kept was paid, and the rest is for people to settle.
      if (!transfer.reversed) return 'completed'
      return { code: 'transfer_reversed', reason: `Stripe transfer ${transfer.id} was reversed` }
    }
  }

  const wise =
    demanded === 'wise' ? await requireTenantWiseClient(tenantId) : await getTenantWiseClient(tenantId)
  if (wise && demanded !== 'stripe') {
    all.wise = async ({ wise_transfer_id }) => {
      if (!wise_transfer_id) return 'unpaid'
      const { id, status } = await wise.getTransfer(wise_transfer_id)
      if (status === 'incoming_payment_waiting') return 'unpaid'
      const state = readWiseStatus(status)
      return state === 'failed' ? { code: status, reason: `Wise transfer ${id} is ${status}` } : state
    }
  }
  return all
}

/** Not of this payout alone: the provider takes no request of the tenant for now. */
function isOfAccount(error: unknown): boolean {
  const kind = readServiceError(error)?.kind
  return kind === 'refused' || kind === 'limited' || error instanceof ServiceHeldError
}
