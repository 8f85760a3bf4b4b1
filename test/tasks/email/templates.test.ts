/** What each template says, and that no value becomes markup. */
import { describe, expect, test } from 'vitest'
import { withTenant } from '../../../src/default-platform.ts'
import { AbortTaskError } from '../../../src/errors.ts'
import { findTemplate } from '../../../tasks/email/templates/index.ts'
import type { Content } from '../../../tasks/email/templates/letter.ts'
import { addDays, day, daysFrom, money } from '../../../tasks/email/templates/wording.ts'
import { tenantId, useTestPlatform } from '../kit.ts'
import { add, addCreator, addOrder } from '../rows.ts'

useTestPlatform()

const render = (name: string, data: unknown, timezone = 'UTC') =>
  withTenant(tenantId, () => findTemplate(name)(data, { timezone }))

async function content(name: string, data: unknown, timezone?: string): Promise<Content> {
  const rendered = await render(name, data, timezone)
  if ('skip' in rendered) expect.fail(`It is skipped: ${rendered.skip}`)
  return rendered
}

const markup = `<script>alert("1")</script>'&amp;`
const escaped = '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;amp;'

/** The text has it as it is, the HTML has it escaped, and neither the other way round. */
function expectEscaped({ text, html }: Content): void {
  expect(text).toContain(markup)
  expect(html).toContain(escaped)
  expect(html).not.toContain('<script')
}

describe('review-request', () => {
  const order = (fields: object) => addOrder(tenantId, { order_number: '#1', ...fields })

  test('names the customer, the order and what was bought', async () => {
    const customer_id = await add(tenantId, 'customers', { first_name: 'Ada' })
    const orderId = await order({ customer_id })
    const item = { order_id: orderId, quantity: 1, price_cents: 1 }
    await add(tenantId, 'order_line_items', { ...item, title: 'Tea' })
    await add(tenantId, 'order_line_items', { ...item, title: 'Cup' })
    await add(tenantId, 'order_line_items', { ...item, title: 'Taken back', quantity: 0 })
    const { text, html } = await content('review-request', { orderId, fulfillmentId: 'f1' })
    expect(text).toContain('How do you like it, Ada?\n')
    expect(text).toContain('Your order #1 has been')
    expect(text).toContain('You bought:\nCup\nTea\n')
    expect(html).toContain('Cup\nTea</p>')
  })

  test('does without a customer and without items', async () => {
    const { text } = await content('review-request', { orderId: await order({}) })
    expect(text).toMatch(/^How do you like it\?\n/)
    expect(text).not.toContain('You bought')
  })

  test('is not sent for an order that came to nothing', async () => {
    for (const status of ['cancelled', 'refunded']) {
      expect(await render('review-request', { orderId: await order({ status }) })).toEqual({
        skip: `order is ${status}`,
      })
    }
    const orderId = await order({ financial_status: 'voided' })
    expect(await render('review-request', { orderId })).toEqual({
      skip: 'the payment of the order is voided',
    })
    expect(await render('review-request', { orderId: 'nope' })).toEqual({ skip: 'order nope is gone' })
  })

  test('escapes', async () => {
    const customer_id = await add(tenantId, 'customers', { first_name: markup })
    expectEscaped(await content('review-request', { orderId: await order({ customer_id }) }))
    expectEscaped(await content('review-request', { orderId: await order({ order_number: markup }) }))
  })
})

describe('the welcome sequence', () => {
  const sequence = ['creator-welcome', 'creator-first-project', 'creator-getting-paid']

  test.each(sequence)('%s is for creators who are with us', async (name) => {
    for (const status of ['pending', 'paused', 'terminated']) {
      const creatorId = await addCreator(tenantId, { status })
      expect(await render(name, { creatorId })).toEqual({ skip: `creator is ${status}` })
    }
    expect(await render(name, { creatorId: 'nope' })).toEqual({ skip: 'creator nope is gone' })
    const creatorId = await addCreator(tenantId, { status: 'approved', first_name: markup })
    expectEscaped(await content(name, { creatorId }))
  })

  test('says the code and the rate', async () => {
    const creatorId = await addCreator(tenantId, { referral_code: 'ADA', commission_rate_pct: '12.50' })
    const { text } = await content('creator-welcome', { creatorId })
    expect(text).toContain('you earn 12.5 % of')
    expect(text).toContain('To share: ADA')
    const other = await addCreator(tenantId, { commission_rate_pct: '10' })
    expect((await content('creator-welcome', { creatorId: other })).text).toContain('you earn 10 % of')
  })

  test('lists the projects that are open', async () => {
    const creatorId = await addCreator(tenantId)
    expect((await content('creator-first-project', { creatorId })).text).toContain('Nothing is waiting')
    const project = { creator_id: creatorId, status: 'draft' }
    await add(tenantId, 'creator_projects', { ...project, title: 'Unboxing', due_date: '2026-03-02' })
    await add(tenantId, 'creator_projects', { ...project, title: 'Paid', payment_cents: 12_345 })
    await add(tenantId, 'creator_projects', { ...project, title: 'Old', status: 'completed' })
    const { text } = await content('creator-first-project', { creatorId })
    expect(text).toContain('Unboxing: due Monday, 2 March 2026\n')
    expect(text).toContain('Paid: no deadline, $123.45\n')
    expect(text).not.toContain('Old')
  })

  test('says what is there and whether we can pay', async () => {
    const fields = { balance_cents: 123_450, pending_balance_cents: 5, currency: 'EUR' }
    const creatorId = await addCreator(tenantId, fields)
    const { text } = await content('creator-getting-paid', { creatorId })
    expect(text).toContain('Available: €1,234.50\n  On hold: €0.05\n')
    expect(text).toContain('do not know yet where')
    const payable = await addCreator(tenantId, { ...fields, wise_recipient_id: 'w' })
    expect((await content('creator-getting-paid', { creatorId: payable })).text).toContain('need do nothing')
  })
})

describe('low-balance-alert', () => {
  const alert = (fields: object) =>
    add(tenantId, 'treasury_alerts', {
      currency: 'USD',
      balance_cents: -5,
      threshold_cents: 100_000,
      ...fields,
    })

  test('says the balance and the threshold', async () => {
    const { text } = await content('low-balance-alert', { alertId: await alert({}) })
    expect(text).toContain('Your USD balance is low')
    expect(text).toContain('Available: -$0.05\n  Warn below: $1,000.00\n')
  })

  test('is not sent when the balance is back', async () => {
    const alertId = await alert({ closed_at: new Date() })
    expect(await render('low-balance-alert', { alertId })).toEqual({ skip: 'the balance is back' })
    expect(await render('low-balance-alert', { alertId: 'nope' })).toEqual({ skip: 'alert nope is gone' })
  })
})

describe('creator-weekly-digest', () => {
  /** Monday. */
  const weekStart = '2026-03-02'
  const earn = async (creatorId: string, fields: object) => {
    const order_id = await addOrder(tenantId)
    const amounts = { net_sales_cents: 1, commission_percent: '1', currency: 'USD' }
    const held = { hold_until: new Date('2026-05-01T00:00:00Z') }
    await add(tenantId, 'commissions', { creator_id: creatorId, order_id, ...amounts, ...held, ...fields })
  }

  test('earnings of the week in the tenant’s time zone, finished projects, deadlines', async () => {
    const creatorId = await addCreator(tenantId, { first_name: 'Ada', pending_balance_cents: 700 })
    // Monday in Auckland begins at 11:00 UTC of Sunday, and so does the Monday after.
    const earned = (created_at: string, commission_cents: number, fields = {}) =>
      earn(creatorId, { created_at: new Date(created_at), commission_cents, ...fields })
    await earned('2026-03-01T10:59:59Z', 1)
    await earned('2026-03-01T11:00:00Z', 200)
    await earned('2026-03-08T10:59:59Z', 3_000)
    await earned('2026-03-08T11:00:00Z', 40_000)
    await earned('2026-03-04T00:00:00Z', 500_000, { status: 'rejected' })
    await earned('2026-03-04T00:00:00Z', 6, { currency: 'EUR' })

    const project = (title: string, fields: object) =>
      add(tenantId, 'creator_projects', { creator_id: creatorId, title, status: 'submitted', ...fields })
    await project('Done', { status: 'completed', completed_at: new Date('2026-03-01T11:00:00Z') })
    await project('Done before', { status: 'completed', completed_at: new Date('2026-03-01T10:59:59Z') })
    await project('Done after', { status: 'completed', completed_at: new Date('2026-03-08T11:00:00Z') })
    await project('Late', { due_date: '2026-02-27' })
    await project('Next week', { due_date: '2026-03-15' })
    await project('Week after', { due_date: '2026-03-16' })
    await project('No longer', { due_date: '2026-03-10', status: 'cancelled' })
    await project('Any time', {})

    const { text } = await content('creator-weekly-digest', { creatorId, weekStart }, 'Pacific/Auckland')
    expect(text).toBe(`Your week, Ada

Monday, 2 March 2026 to Sunday, 8 March 2026.

Earnings
  Earned: €0.06 from 1 order
  Earned: $32.00 from 2 orders
  On hold now: $7.00
  Available now: $0.00

Finished projects
  Done: finished

Deadlines
  Late: due Friday, 27 February 2026
  Next week: due Sunday, 15 March 2026
`)
  })

  test('says so when nothing was earned, and nothing when nothing happened', async () => {
    const creatorId = await addCreator(tenantId, { balance_cents: 1 })
    const { text } = await content('creator-weekly-digest', { creatorId, weekStart })
    expect(text).toContain('Earned: $0.00\n')
    expect(text).not.toContain('Deadlines')
    const other = await addCreator(tenantId)
    expect(await render('creator-weekly-digest', { creatorId: other, weekStart })).toEqual({
      skip: 'nothing happened',
    })
  })

  test('escapes', async () => {
    const creatorId = await addCreator(tenantId)
    const fields = { creator_id: creatorId, title: markup, due_date: weekStart }
    await add(tenantId, 'creator_projects', fields)
    expectEscaped(await content('creator-weekly-digest', { creatorId, weekStart }))
  })
})

describe('admin-daily-digest', () => {
  const data = {
    from: '2026-03-06',
    date: '2026-03-08',
    orders: { placed: 12, cancelled: 1, sales: [{ currency: 'USD', cents: '900719925474099301' }] },
    creators: { applied: 2, approved: 3, waiting: 4 },
    payouts: { completed: 5, paid: [{ currency: 'JPY', cents: '1500' }], failed: 6, underWay: 7 },
    failedRuns: { count: 9, isAll: false, byTask: [{ taskId: 'a/b', count: 9 }] },
    paragraph: 'A calm day.',
  }

  test('says what was counted', async () => {
    expect(
      (await content('admin-daily-digest', data)).text,
    ).toBe(`Friday, 6 March 2026 to Sunday, 8 March 2026

A calm day.

Orders
  Placed: 12
  Cancelled or refunded: 1
  Sales: $9,007,199,254,740,993.01

Creators
  New applications: 2
  Approved: 3
  Waiting for an answer: 4

Payouts
  Completed: 5
  Paid: ¥1,500
  Failed: 6
  Under way now: 7

More than 9 background runs failed.

Failed runs
  a/b: 9
`)
  })

  test('does without a paragraph and without failures', async () => {
    const failedRuns = { count: 0, isAll: true, byTask: [] }
    const calm = { ...data, from: data.date, paragraph: null, failedRuns }
    const { text } = await content('admin-daily-digest', calm)
    expect(text).toMatch(/^Sunday, 8 March 2026\n\nOrders\n/)
    expect(text).toMatch(/No background run failed\.\n$/)
  })

  test('escapes', async () => {
    expectEscaped(await content('admin-daily-digest', { ...data, paragraph: markup }))
  })
})

test('every template refuses data that it cannot use', async () => {
  const names = [
    'review-request',
    'creator-welcome',
    'creator-first-project',
    'creator-getting-paid',
    'creator-weekly-digest',
    'low-balance-alert',
    'admin-daily-digest',
  ]
  for (const name of names) {
    for (const data of [null, {}, { orderId: '', creatorId: '', alertId: '' }, []]) {
      await expect(render(name, data)).rejects.toThrow(AbortTaskError)
    }
  }
})

test.each(['nope', '', 'toString', '__proto__'])('%j is no template', (name) => {
  expect(() => findTemplate(name)).toThrow(AbortTaskError)
})

describe('wording', () => {
  test.each([
    [0, 'USD', '$0.00'],
    [-7, 'USD', '-$0.07'],
    [100, 'EUR', '€1.00'],
    [1_500, 'JPY', '¥1,500'],
    [199_050, 'HUF', 'HUF\u00a01,990.50'],
    ['900719925474099301', 'USD', '$9,007,199,254,740,993.01'],
    [1_234_567, 'KWD', 'KWD\u00a01,234.567'],
  ])('%j cents of %s are %s', (cents, currency, text) => {
    expect(money(cents, currency)).toBe(text)
  })

  test('days are days of a calendar', () => {
    expect(day('2024-02-29')).toBe('Thursday, 29 February 2024')
    expect(daysFrom('2026-03-06', '2026-03-06')).toBe('Friday, 6 March 2026')
    expect(addDays('2026-12-28', 6)).toBe('2027-01-03')
  })
})
