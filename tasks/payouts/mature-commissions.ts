/**
 * Makes commissions available whose hold has ended: commission approved, money from the pending to the available
 * balance, two ledger rows for each (out of the one, into the other).
 *
 * Left pending, for a person to decide, and counted as heldBack:
 *  - commissions of terminated creators (a paused creator's earnings still mature; a payout is what pausing stops),
 *  - commissions of orders that were cancelled or refunded meanwhile: that is what the hold is for,
 *  - all of a creator whose rows disagree (another currency, more due than pending). One wrong creator must not keep
 *    the others from their money.
 */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

const creatorsPerBatch = 100

export const matureCommissions = defineTask({
  id: 'payouts/mature-commissions',
  payload: tenantPayload({
    /** Matures what was due at this moment; default now. */
    asOf: z.iso.datetime({ offset: true }).optional(),
  }),
  concurrency: { perTenant: 1 },
  timeout: '10m',
  schedules: [{ cron: '0 6 * * *' }],

  async run({ asOf }, { sql, transaction, logger, signal }) {
    // The database's clock decides: hold_until was set by it, and workers' clocks differ.
    const clock = await sql<{ cutoff: Date; is_future: boolean }>`
      SELECT cutoff, cutoff > now() AS is_future
      FROM (SELECT coalesce(${asOf ?? null}::timestamptz, now()) AS cutoff) AS clock`
    const { cutoff, is_future } = clock.rows[0]!
    if (is_future) throw new AbortTaskError(`asOf ${asOf} is in the future; a hold cannot be ended early.`)

    let lastCreator = ''
    let creators = 0
    let commissions = 0
    for (;;) {
      signal.throwIfAborted()
      const batch = await transaction(() => matureBatch(lastCreator))
      if (!batch) break
      lastCreator = batch.lastCreator
      creators += batch.creators
      commissions += batch.commissions
    }

    const left = await sql<{ count: number }>`
      SELECT count(*)::int AS count FROM commissions WHERE status = 'pending' AND hold_until <= ${cutoff}`
    const heldBack = left.rows[0]!.count
    if (heldBack > 0) logger.warn({ heldBack }, 'commissions are past their hold but wait for a decision')
    logger.info({ commissions, creators }, 'commissions matured')
    return { asOf: cutoff.toISOString(), commissions, creators, heldBack }

    async function matureBatch(after: string) {
      // Lock order: creators by id, then their commissions. Every writer of a balance locks its creator first.
      const locked = await sql<{ id: string }>`
        SELECT id FROM creators
        WHERE id > ${after} AND status <> 'terminated' AND EXISTS (
          SELECT FROM commissions
          WHERE creator_id = creators.id AND commissions.status = 'pending' AND hold_until <= ${cutoff}
        )
        ORDER BY id LIMIT ${creatorsPerBatch}
        FOR NO KEY UPDATE`
      const creatorIds = locked.rows.map(({ id }) => id)
      const lastCreator = creatorIds.at(-1)
      if (!lastCreator) return null

      const matured = await sql<{ creators: number; commissions: number }>`
        WITH due AS (
          SELECT commissions.id, creator_id, commission_cents, commissions.currency
          FROM commissions JOIN orders ON orders.id = order_id
          WHERE creator_id = ANY(${creatorIds}) AND commissions.status = 'pending' AND hold_until <= ${cutoff}
            AND orders.status NOT IN ('cancelled', 'refunded') AND financial_status NOT IN ('refunded', 'voided')
        ), sound AS (
          SELECT creators.id
          FROM due JOIN creators ON creators.id = creator_id
          GROUP BY creators.id
          HAVING bool_and(due.currency = creators.currency) AND sum(commission_cents) <= pending_balance_cents
        ), approved AS (
          UPDATE commissions SET status = 'approved'
          WHERE id IN (SELECT id FROM due) AND creator_id IN (SELECT id FROM sound) AND status = 'pending'
          RETURNING id, creator_id, order_id, commission_cents, currency
        ), moved AS (
          UPDATE creators
          SET pending_balance_cents = pending_balance_cents - total.cents, balance_cents = balance_cents + total.cents
          FROM (SELECT creator_id, sum(commission_cents)::int AS cents FROM approved GROUP BY creator_id) AS total
          WHERE creators.id = total.creator_id
          RETURNING creators.id, pending_balance_cents, balance_cents
        ), steps AS (
          -- later_cents: what the rest of this batch still moves, so that each ledger row shows the balance after it.
          SELECT *, coalesce(sum(commission_cents) OVER (
              PARTITION BY creator_id ORDER BY id ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
            ), 0)::int AS later_cents
          FROM approved WHERE commission_cents > 0
        ), ledger AS (
          INSERT INTO balance_transactions
            (creator_id, type, balance, amount_cents, currency, balance_after_cents, order_id, description)
          SELECT creator_id, 'commission', entry.balance, amount_cents, currency, after_cents, order_id, 'Hold ended'
          FROM steps
          JOIN moved ON moved.id = creator_id
          CROSS JOIN LATERAL (VALUES
            ('pending', -commission_cents, pending_balance_cents + later_cents),
            ('available', commission_cents, balance_cents - later_cents)
          ) AS entry(balance, amount_cents, after_cents)
          ORDER BY creator_id, steps.id
        )
        SELECT count(DISTINCT creator_id)::int AS creators, count(*)::int AS commissions FROM approved`
      return { lastCreator, ...matured.rows[0]! }
    }
  },
})
