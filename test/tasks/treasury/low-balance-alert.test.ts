import { beforeEach, describe, expect, test } from 'vitest'
import { deleteCredential, sql, withTenant } from '../../../src/default-platform.ts'
import { lowBalanceAlert } from '../../../tasks/treasury/low-balance-alert.ts'
import { kit, tenantId, useProviders } from '../kit.ts'

const providers = useProviders(['stripe', 'wise'])

beforeEach(() => {
  setBalances({ stripe: 30_000, wise: 20_000 })
})

function setBalances({ stripe, wise }: { stripe: number; wise: number }): void {
  providers.stripe.available.clear()
  providers.stripe.available.set('usd', stripe).set('gbp', 7)
  providers.wise.balances.clear()
  providers.wise.balances.set('USD', wise).set('EUR', 500)
}

const run = () => kit.runTask(lowBalanceAlert, { tenantId })

async function setThreshold(cents: number, currency = 'USD', recipients = ['a@x.test', 'b@x.test']) {
  await withTenant(
    tenantId,
    () => sql`
      INSERT INTO treasury_settings (low_balance_threshold_cents, currency, alert_recipients)
      VALUES (${cents}, ${currency}, ${recipients})
      ON CONFLICT (only_row) DO UPDATE
      SET low_balance_threshold_cents = ${cents}, currency = ${currency}, alert_recipients = ${recipients}`,
  )
}

const alerts = () => select('SELECT * FROM treasury_alerts ORDER BY opened_at')
const emails = () => select('SELECT * FROM email_queue ORDER BY recipient, created_at')

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns of its table.
async function select(text: string): Promise<any[]> {
  const { rows } = await withTenant(tenantId, () => sql([text] as unknown as TemplateStringsArray))
  return rows
}

test('a low balance opens one alert and queues one email for each who is to know', async () => {
  await setThreshold(50_001)
  expect(await run()).toMatchObject({
    checked: true,
    currency: 'USD',
    balanceCents: 50_000,
    isLow: true,
    balances: { USD: 50_000, EUR: 500, GBP: 7 },
    alertId: expect.any(String),
    emailsQueued: 2,
  })
  const [alert] = await alerts()
  expect(alert).toMatchObject({
    currency: 'USD',
    balance_cents: 50_000,
    threshold_cents: 50_001,
    closed_at: null,
  })
  expect(await emails()).toMatchObject(
    ['a@x.test', 'b@x.test'].map((recipient) => ({
      kind: 'treasury',
      recipient,
      template: 'low-balance-alert',
      data: { alertId: alert.id },
      dedupe_key: `treasury:low-balance:${alert.id}:${recipient}`,
      status: 'pending',
    })),
  )

  expect(await run()).toMatchObject({ isLow: true, alertId: null, emailsQueued: 0 })
  expect([await alerts(), await emails()].map(({ length }) => length)).toEqual([1, 2])
})

test('a balance that is exactly the threshold is enough', async () => {
  await setThreshold(50_000)
  expect(await run()).toMatchObject({ isLow: false, alertId: null, closed: 0 })
  expect(await alerts()).toEqual([])
})

test('runs at once open one alert', async () => {
  await setThreshold(60_000)
  await Promise.all([run(), run(), run(), run()])
  expect([await alerts(), await emails()].map(({ length }) => length)).toEqual([1, 2])
})

test('an alert closes when the balance is back, and the next one is a new one', async () => {
  await setThreshold(60_000)
  await run()
  setBalances({ stripe: 100_000, wise: 0 })
  expect(await run()).toMatchObject({ isLow: false, closed: 1 })
  expect(await alerts()).toMatchObject([{ closed_at: expect.any(Date) }])
  setBalances({ stripe: -500, wise: 0 })
  expect(await run()).toMatchObject({ isLow: true, balanceCents: -500, emailsQueued: 2 })
  expect(await alerts()).toMatchObject([
    { closed_at: expect.any(Date) },
    { closed_at: null, balance_cents: -500 },
  ])
  expect(await emails()).toHaveLength(4)
})

test('an alert of a currency that is no longer watched closes', async () => {
  await setThreshold(60_000)
  await run()
  await setThreshold(600, 'EUR')
  expect(await run()).toMatchObject({ currency: 'EUR', balanceCents: 500, closed: 1, emailsQueued: 2 })
  await setThreshold(1, 'JPY')
  expect(await run()).toMatchObject({ currency: 'JPY', balanceCents: 0, isLow: true, closed: 1 })
})

test('recipients: none, and one who is named twice', async () => {
  await setThreshold(60_000, 'USD', [])
  expect(await run()).toMatchObject({ alertId: expect.any(String), emailsQueued: 0 })
  setBalances({ stripe: 100_000, wise: 0 })
  await run()
  setBalances({ stripe: 0, wise: 0 })
  await setThreshold(60_000, 'USD', ['a@x.test', 'a@x.test'])
  expect(await run()).toMatchObject({ emailsQueued: 1 })
})

test('half of the money never looks like all of it', async () => {
  await setThreshold(50_000)
  providers.wise.answerNext({ status: 503, body: '' })
  await expect(run()).rejects.toThrow()
  expect([await alerts(), await emails()]).toEqual([[], []])
})

describe('what the tenant has set up', () => {
  test('no settings: nothing is asked', async () => {
    expect(await run()).toEqual({ checked: false, reason: 'the tenant has no treasury settings' })
    expect(providers.stripe.requests).toHaveLength(0)
  })

  test('one provider, and none', async () => {
    await setThreshold(40_000)
    await deleteCredential(tenantId, 'wise', 'api_token')
    expect(await run()).toMatchObject({ balanceCents: 30_000, isLow: true })
    await deleteCredential(tenantId, 'stripe', 'secret_key')
    expect(await run()).toEqual({ checked: false, reason: 'the tenant has set up neither stripe nor wise' })
    expect(await alerts()).toMatchObject([{ closed_at: null }])
  })
})
