/**
 * Keeps stripe_topups as Stripe has it: every top-up of the last 30 days, and of longer ago while one is pending. A row
 * only ever goes forward: pending -> succeeded, failed or canceled; succeeded -> reversed. So answers that overtake one
 * another, and events that come late or twice, change nothing.
 */
import { defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

const topupEvent = z.object({ data: z.object({ object: z.object({ id: z.string().min(1) }) }) })

export const syncTopups = defineTask({
  id: 'treasury/sync-topups',
  payload: tenantPayload({
    /** Only this one, by Stripe's id. */
    topupId: z.string().min(1).optional(),
  }),
  services: ['stripe'],
  schedules: [{ cron: '*/15 * * * *', catchUp: 'skip', overlap: 'skip' }],
  // What triggers it comes once: it is tried for most of a day.
  retry: { maxAttempts: 12, minDelay: '10s', maxDelay: '2h', factor: 3 },
  webhooks: [
    {
      service: 'stripe',
      events: ['topup.created', 'topup.succeeded', 'topup.failed', 'topup.canceled', 'topup.reversed'],
      payload({ body }) {
        const event = topupEvent.safeParse(body)
        return event.success ? { topupId: event.data.data.object.id } : null
      },
    },
  ],

  async run({ topupId }, { sql, clients: { stripe }, logger, signal }) {
    if (topupId) {
      const changed = await store([await stripe.topups.retrieve(topupId)])
      return { seen: 1, changed }
    }

    // A row that the app wrote is a little younger than its top-up at Stripe.
    const range = await sql<{ since: number }>`
      SELECT floor(extract(epoch FROM least(min(created_at), now() - interval '29 days') - interval '1 day'))::float8 AS since
      FROM stripe_topups WHERE status = 'pending'`
    const created = { gte: range.rows[0]!.since }
    let seen = 0
    let changed = 0
    for (let last: string | undefined; ; ) {
      signal.throwIfAborted()
      const page = await stripe.topups.list({ created, limit: 100, ...(last && { starting_after: last }) })
      changed += await store(page.data)
      seen += page.data.length
      last = page.data.at(-1)?.id
      if (!page.has_more || !last) break
    }
    logger.info({ seen, changed }, 'top-ups synced')
    return { seen, changed }

    /** Answers how many rows are new or went forward. */
    async function store(topups: readonly Topup[]): Promise<number> {
      // completed_at is when we learned of the end: Stripe does not say when it was.
      const stored = await sql`
        INSERT INTO stripe_topups AS known
          (stripe_topup_id, amount_cents, currency, status, failure_code, failure_message, completed_at, created_at)
        SELECT id, amount, upper(currency), status, failure_code, failure_message,
               CASE WHEN status <> 'pending' THEN now() END, to_timestamp(created)
        FROM jsonb_to_recordset(${sql.json(topups.map(asRow))}) AS topup (
          id text, amount int, currency text, status text, failure_code text, failure_message text, created float8)
        ON CONFLICT (stripe_topup_id) DO UPDATE
        SET status = excluded.status, failure_code = excluded.failure_code,
            failure_message = excluded.failure_message,
            completed_at = coalesce(known.completed_at, excluded.completed_at)
        WHERE (known.status = 'pending' AND excluded.status <> 'pending')
           OR (known.status = 'succeeded' AND excluded.status = 'reversed')`
      return stored.rowCount
    }
  },
})

interface Topup {
  id: string
  /** In cents, as all of Stripe's amounts. */
  amount: number
  currency: string
  status: string
  failure_code: string | null
  failure_message: string | null
  /** Unix seconds. */
  created: number
}

function asRow({ id, amount, currency, status, failure_code, failure_message, created }: Topup): Topup {
  return { id, amount, currency, status, failure_code, failure_message, created }
}
