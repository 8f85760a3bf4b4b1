/** Takes an order into processing. The one task that moves pending and confirmed orders on. */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

export const processOrder = defineTask({
  id: 'orders/process-order',
  payload: tenantPayload({ orderId: z.string().min(1) }),

  async run({ orderId }, { sql, logger }) {
    // Guarded: of two runs for one order, the database lets one through.
    const claimed = await sql`
      UPDATE orders SET status = 'processing', processed_at = now()
      WHERE id = ${orderId} AND status IN ('pending', 'confirmed')`
    if (claimed.rowCount === 1) {
      logger.info({ orderId }, 'order is processing')
      return { orderId, status: 'processing', alreadyProcessed: false }
    }

    const found = await sql<{ status: string }>`SELECT status FROM orders WHERE id = ${orderId}`
    const status = found.rows[0]?.status
    if (!status) throw new AbortTaskError(`There is no order ${orderId}.`)
    if (status !== 'processing') {
      throw new AbortTaskError(
        `Order ${orderId} is ${status}; only a pending or confirmed order is processed.`,
      )
    }
    // An earlier attempt got this far and its answer was lost.
    return { orderId, status, alreadyProcessed: true }
  },
})
