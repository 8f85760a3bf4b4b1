import { sql } from '@cgk-platform/jobs'
import { z } from 'zod'
import { template } from './template.ts'
import { money } from './wording.ts'

export const lowBalanceAlert = template(z.object({ alertId: z.string().min(1) }), async ({ alertId }) => {
  const found = await sql<AlertRow>`
    SELECT currency, balance_cents, threshold_cents, closed_at IS NOT NULL AS is_closed
    FROM treasury_alerts WHERE id = ${alertId}`
  const alert = found.rows[0]
  if (!alert) return { skip: `alert ${alertId} is gone` }
  if (alert.is_closed) return { skip: 'the balance is back' }
  const { currency, balance_cents, threshold_cents } = alert
  return {
    heading: `Your ${currency} balance is low`,
    parts: [
      'There is less money at your payment providers than you want to keep there.',
      {
        title: 'Balance',
        rows: [
          ['Available', money(balance_cents, currency)],
          ['Warn below', money(threshold_cents, currency)],
        ],
      },
      'Top it up before the next payouts, or they may fail. You will not hear of it again until it has been back.',
    ],
  }
})

interface AlertRow {
  currency: string
  balance_cents: number
  threshold_cents: number
  is_closed: boolean
}
