/** A day of the tenant in numbers, as digest/admin-daily counted them: the email says what was so when it was queued. */
import { z } from 'zod'
import type { Part, Row } from './letter.ts'
import { template } from './template.ts'
import { count, daysFrom, money } from './wording.ts'

const number = z.int().min(0)
/** Cents as text: a sum may be larger than an integer of JavaScript. */
const sums = z.array(z.object({ currency: z.string(), cents: z.string().regex(/^\d+$/) }))

const dailyFigures = z.object({
  /** The first and the last day that it is about: one and the same, or a weekend. */
  from: z.iso.date(),
  date: z.iso.date(),
  orders: z.object({ placed: number, cancelled: number, sales: sums }),
  creators: z.object({ applied: number, approved: number, waiting: number }),
  payouts: z.object({ completed: number, paid: sums, failed: number, underWay: number }),
  /** `isAll` is false when there were too many to count. */
  failedRuns: z.object({
    count: number,
    isAll: z.boolean(),
    byTask: z.array(z.object({ taskId: z.string(), count: number })),
  }),
})

export type DailyFigures = z.output<typeof dailyFigures>
export type Sum = z.output<typeof sums>[number]

export const adminDailyDigest = template(
  dailyFigures.extend({
    /** Written by Claude; null where the tenant has no account there. */
    paragraph: z.string().nullable(),
  }),
  async ({ from, date, orders, creators, payouts, failedRuns, paragraph }) => ({
    heading: daysFrom(from, date),
    parts: [
      ...(paragraph ? [paragraph] : []),
      {
        title: 'Orders',
        rows: [
          ['Placed', String(orders.placed)],
          ['Cancelled or refunded', String(orders.cancelled)],
          ...orders.sales.map((sum) => asRow('Sales', sum)),
        ],
      },
      {
        title: 'Creators',
        rows: [
          ['New applications', String(creators.applied)],
          ['Approved', String(creators.approved)],
          ['Waiting for an answer', String(creators.waiting)],
        ],
      },
      {
        title: 'Payouts',
        rows: [
          ['Completed', String(payouts.completed)],
          ...payouts.paid.map((sum) => asRow('Paid', sum)),
          ['Failed', String(payouts.failed)],
          ['Under way now', String(payouts.underWay)],
        ],
      },
      ...failures(failedRuns),
    ],
  }),
)

function asRow(label: string, { currency, cents }: Sum): Row {
  return [label, money(cents, currency)]
}

function failures({ count: failed, isAll, byTask }: DailyFigures['failedRuns']): Part[] {
  if (failed === 0) return ['No background run failed.']
  const total = `${isAll ? '' : 'More than '}${count(failed, 'background run')} failed.`
  return [total, { title: 'Failed runs', rows: byTask.map((task) => [task.taskId, String(task.count)]) }]
}
