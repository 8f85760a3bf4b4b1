/**
 * Finds the orders whose webhooks never came: every order that Shopify has updated since the cursor, and that our rows do
 * not have in that version, is handed to orders/sync-from-shopify.
 *
 * The cursor is the last order that was looked at, in Shopify's order: by updatedAt, then by id. It moves in the
 * transaction that enqueues the runs. A run that stops at maxOrders, or because the shop asks to wait, leaves it there, and
 * the next one goes on from exactly there; after a run that saw everything, the next one looks back over lookbackHours,
 * for Shopify's search lags behind.
 */
import { defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
import { mustWait } from '../shopify/must-wait.ts'
import { fetchUpdatedOrders, type UpdatedOrder } from './fetch-updated-orders.ts'
import { syncOrderFromShopify } from './sync-from-shopify.ts'

const cursorName = 'orders/reconcile'

/** Shopify does not page beyond 25,000 of one query: 250 a page. */
const mostPages = 80

export const reconcileOrders = defineTask({
  id: 'orders/reconcile',
  payload: tenantPayload({
    /** How far before the cursor a run starts; the first one, before now. */
    lookbackHours: z.number().positive().max(1440).default(2),
    /** Handed over by one run. */
    maxOrders: z.number().int().min(1).max(10_000).default(500),
  }),
  services: ['shopify'],
  concurrency: { perTenant: 1 },
  schedules: [{ cron: '30 * * * *', overlap: 'skip' }],

  async run({ lookbackHours, maxOrders }, context) {
    const { tenantId, sql, transaction, clients, logger, signal } = context
    const row = await sql<{ cursor: string | null; now: Date }>`
      SELECT (SELECT cursor FROM sync_cursors WHERE name = ${cursorName}) AS cursor, now() AS now`
    const { cursor: before, now } = row.rows[0]!
    const cursor = before === null ? null : readCursor(before)
    const since = cursor ? Date.parse(cursor.updatedAt) : now.getTime()
    const lookbackMs = cursor?.caughtUp === false ? 0 : lookbackHours * 3_600_000
    const start = new Date(since - lookbackMs)

    const due: UpdatedOrder[] = []
    let last: UpdatedOrder | null = null
    let interruption: unknown = null
    const caughtUp = await collect().catch((error) => {
      if (!last || !mustWait(error)) throw error
      interruption = error
      return false
    })

    const end = last ?? cursor ?? { id: '0', updatedAt: start.toISOString() }
    await transaction(async () => {
      await syncOrderFromShopify.batchTrigger(
        due.map(({ id, updatedAt }) => ({
          payload: { tenantId, shopifyOrderId: id, source: 'reconciliation' },
          options: { idempotencyKey: `${id}:${updatedAt}` },
        })),
      )
      await moveCursor({ updatedAt: end.updatedAt, id: end.id, caughtUp })
    })
    logger.info({ triggered: due.length, caughtUp, since: start }, 'orders reconciled')
    // This run goes on from the cursor when the shop takes requests again.
    if (interruption) throw interruption
    return { triggered: due.length, caughtUp, cursor: end.updatedAt }

    /** Fills `due` and `last`. Answers whether it has seen everything. */
    async function collect(): Promise<boolean> {
      let pages = 0
      for await (const page of fetchUpdatedOrders(clients.shopify, start)) {
        signal.throwIfAborted()
        const orders = cursor?.caughtUp === false ? page.filter((order) => isAfter(order, cursor)) : page
        const current = await findCurrent(orders)
        for (const order of orders) {
          if (!current.has(order.id)) {
            if (due.length === maxOrders) return false
            due.push(order)
          }
          last = order
        }
        pages += 1
        if (pages === mostPages) return false
      }
      return true
    }

    /** Those that our rows have in this version or a newer one: syncing them would change nothing. */
    async function findCurrent(orders: readonly UpdatedOrder[]): Promise<Set<string>> {
      const current = await sql<{ id: string }>`
        SELECT seen.id
        FROM jsonb_to_recordset(${sql.json(orders)}) AS seen (id text, "updatedAt" timestamptz)
        JOIN orders ON shopify_order_id = seen.id
        WHERE shopify_updated_at >= seen."updatedAt"`
      return new Set(current.rows.map(({ id }) => id))
    }

    /** Only from where this run found it: one that was taken for lost and comes late does not move it back. */
    async function moveCursor(after: Cursor): Promise<void> {
      await sql`
        INSERT INTO sync_cursors AS known (name, cursor) VALUES (${cursorName}, ${JSON.stringify(after)})
        ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, moved_at = now()
        WHERE known.cursor IS NOT DISTINCT FROM ${before}`
    }
  },
})

type Cursor = z.infer<typeof cursorSchema>

const cursorSchema = z.object({
  updatedAt: z.iso.datetime({ offset: true }),
  id: z.string().regex(/^\d+$/),
  /** False: the run stopped before the end. */
  caughtUp: z.boolean(),
})

function readCursor(text: string): Cursor {
  return cursorSchema.parse(JSON.parse(text))
}

/** Many orders can be updated in the same second. */
function isAfter(order: UpdatedOrder, cursor: Cursor): boolean {
  const ahead = Date.parse(order.updatedAt) - Date.parse(cursor.updatedAt)
  return ahead > 0 || (ahead === 0 && BigInt(order.id) > BigInt(cursor.id))
}
