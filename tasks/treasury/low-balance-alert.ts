/**
 * Warns people when the tenant's money at its providers runs low. Stripe's available balance and the Wise balances in
 * the currency of treasury_settings, added up, are held against its threshold; balances in other currencies are reported
 * but have no threshold to fall below.
 *
 * An alert opens with its emails or not at all, there is one open alert per currency, and it closes when the balance is
 * back. So people hear of a low balance once, however often this runs.
 */
import { defineTask, getTenantStripeClient, getTenantWiseClient, tenantPayload } from '@cgk-platform/jobs'

export const lowBalanceAlert = defineTask({
  id: 'treasury/low-balance-alert',
  payload: tenantPayload({}),
  schedules: [{ cron: '0 9,17 * * *', timezone: 'tenant', overlap: 'skip' }],

  // No `services`: they would hold a tenant that has only one of the two.
  async run({ tenantId }, { sql, transaction, logger }) {
    const found = await sql<SettingsRow>`
      SELECT low_balance_threshold_cents, currency, alert_recipients FROM treasury_settings`
    const settings = found.rows[0]
    if (!settings) return { checked: false, reason: 'the tenant has no treasury settings' }

    const balances = await readBalances(tenantId)
    if (!balances) return { checked: false, reason: 'the tenant has set up neither stripe nor wise' }

    const { currency, low_balance_threshold_cents: threshold, alert_recipients } = settings
    // A currency that no provider names has no money in it.
    const balance = balances[currency] ?? 0
    const isLow = balance < threshold
    const change = await transaction(async () => {
      const closed = await sql`
        UPDATE treasury_alerts SET closed_at = now()
        WHERE closed_at IS NULL AND (currency <> ${currency} OR NOT ${isLow})`
      const alertId = isLow ? await openAlert() : null
      return { closed: closed.rowCount, alertId, emailsQueued: alertId ? await queueEmails(alertId) : 0 }
    })

    if (change.alertId) logger.warn({ currency, balance, threshold, ...change }, 'balance is low')
    return { checked: true, currency, balanceCents: balance, isLow, balances, ...change }

    /** Null: one is open already. */
    async function openAlert(): Promise<string | null> {
      const opened = await sql<{ id: string }>`
        INSERT INTO treasury_alerts (currency, balance_cents, threshold_cents)
        VALUES (${currency}, ${balance}, ${threshold})
        ON CONFLICT (currency) WHERE closed_at IS NULL DO NOTHING
        RETURNING id`
      return opened.rows[0]?.id ?? null
    }

    async function queueEmails(alertId: string): Promise<number> {
      const queued = await sql`
        INSERT INTO email_queue (kind, recipient, subject, template, data, dedupe_key)
        SELECT 'treasury', recipient, ${`Your ${currency} balance is low`}, 'low-balance-alert', ${sql.json({ alertId })},
               ${`treasury:low-balance:${alertId}:`} || recipient
        FROM unnest(${alert_recipients}::text[]) AS recipient
        ON CONFLICT (dedupe_key) DO NOTHING`
      return queued.rowCount
    }
  },
})

interface SettingsRow {
  low_balance_threshold_cents: number
  currency: string
  alert_recipients: string[]
}

/** Cents by currency over all providers that the tenant has set up; null when there are none. */
async function readBalances(tenantId: string): Promise<Record<string, number> | null> {
  const [stripe, wise] = [await getTenantStripeClient(tenantId), await getTenantWiseClient(tenantId)]
  if (!stripe && !wise) return null

  const balances: Record<string, number> = {}
  const add = (currency: string, cents: number) => {
    const code = currency.toUpperCase()
    balances[code] = (balances[code] ?? 0) + cents
  }
  // One that does not answer fails the run: half of the money must not look like all of it.
  for (const { amount, currency } of (await stripe?.balance.retrieve())?.available ?? [])
    add(currency, amount)
  for (const { currency, availableCents } of (await wise?.balances()) ?? []) add(currency, availableCents)
  return balances
}
