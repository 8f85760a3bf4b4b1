/** What the tables say of some days: orders, creators and payouts. */
import { sql } from '@cgk-platform/jobs'
import type { DailyFigures, Sum } from '../email/templates/admin-daily-digest.ts'

/** Whole days of the tenant. */
export interface Days {
  /** The first and the last: `2026-03-06`. */
  from: string
  date: string
  /** When the first begins, and when the last has ended. */
  start: Date
  end: Date
}

export async function countRows({
  start,
  end,
}: Days): Promise<Omit<DailyFigures, 'from' | 'date' | 'failedRuns'>> {
  return { orders: await countOrders(), creators: await countCreators(), payouts: await countPayouts() }

  async function countOrders(): Promise<DailyFigures['orders']> {
    const { rows } = await sql<{ placed: number; cancelled: number; sales: Sum[] }>`
      WITH placed AS (
        SELECT currency, total_cents,
               status IN ('cancelled', 'refunded') OR financial_status IN ('refunded', 'voided') AS is_cancelled
        FROM orders
        WHERE (order_placed_at >= ${start} AND order_placed_at < ${end})
           OR (order_placed_at IS NULL AND created_at >= ${start} AND created_at < ${end})
      ), sales AS (
        SELECT currency, sum(total_cents)::text AS cents FROM placed WHERE NOT is_cancelled GROUP BY currency
      )
      SELECT count(*)::int AS placed, count(*) FILTER (WHERE is_cancelled)::int AS cancelled,
             (SELECT coalesce(jsonb_agg(sales ORDER BY currency), '[]') FROM sales) AS sales
      FROM placed`
    return rows[0]!
  }

  async function countCreators(): Promise<DailyFigures['creators']> {
    const { rows } = await sql<DailyFigures['creators']>`
      SELECT count(*) FILTER (WHERE created_at >= ${start} AND created_at < ${end})::int AS applied,
             count(*) FILTER (WHERE approved_at >= ${start} AND approved_at < ${end})::int AS approved,
             count(*) FILTER (WHERE status = 'pending')::int AS waiting
      FROM creators`
    return rows[0]!
  }

  async function countPayouts(): Promise<DailyFigures['payouts']> {
    const { rows } = await sql<{ completed: number; paid: Sum[]; failed: number; under_way: number }>`
      WITH paid AS (
        SELECT currency, sum(net_amount_cents)::text AS cents, count(*)::int AS payouts FROM payouts
        WHERE status = 'completed' AND completed_at >= ${start} AND completed_at < ${end}
        GROUP BY currency
      )
      SELECT (SELECT coalesce(sum(payouts), 0)::int FROM paid) AS completed,
             (SELECT coalesce(jsonb_agg(jsonb_build_object('currency', currency, 'cents', cents) ORDER BY currency), '[]')
              FROM paid) AS paid,
             count(*) FILTER (WHERE status = 'failed' AND failed_at >= ${start} AND failed_at < ${end})::int AS failed,
             count(*) FILTER (WHERE status = 'processing')::int AS under_way
      FROM payouts`
    const { under_way: underWay, ...payouts } = rows[0]!
    return { ...payouts, underWay }
  }
}
