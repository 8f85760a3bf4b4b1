import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { deleteCredential, sql, withTenant } from '../../../src/default-platform.ts'
import { AbortTaskError, InvalidPayloadError } from '../../../src/errors.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { adminDailyDigest } from '../../../tasks/digest/admin-daily.ts'
import { processQueue } from '../../../tasks/email/process-queue.ts'
import { sendEmail } from '../../../tasks/email/send.ts'
import { entries } from '../email/entries.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { add, addCreator, addOrder } from '../rows.ts'

const failing = defineTask({
  id: 'test/fail',
  payload: tenantPayload({ code: z.string().default('x') }),
  run({ code }) {
    throw new AbortTaskError(code)
  },
})

const alsoFailing = defineTask({ ...failing, id: 'test/also-fail', payload: failing.schema })

const providers = useProviders(['anthropic', 'resend'], {
  tasks: [adminDailyDigest, processQueue, sendEmail, failing, alsoFailing],
})

const run = (payload: { date?: string; recipients?: string[] } = {}, tenant = tenantId) =>
  kit.runTask(adminDailyDigest, { tenantId: tenant, ...payload })

const recipients = ['boss@x.test']
const date = '2026-03-04'

async function today(timezone = 'UTC') {
  const { rows } = await sql<{ today: string; weekday: number; yesterday: string; friday: string }>`
    SELECT today::text, extract(isodow FROM today)::int AS weekday, (today - 1)::text AS yesterday,
           (today - 3)::text AS friday
    FROM (SELECT (now() AT TIME ZONE ${timezone})::date AS today) AS clock`
  return rows[0]!
}

async function tell(addresses: string[]): Promise<void> {
  await withTenant(
    tenantId,
    () => sql`
      INSERT INTO treasury_settings (low_balance_threshold_cents, alert_recipients) VALUES (1, ${addresses})`,
  )
}

describe('who is told', () => {
  test('those of the payload, each once for a date, and their emails are on the way', async () => {
    const both = ['boss@x.test', 'cfo@x.test', 'Boss@x.test']
    expect(await run({ date, recipients: both })).toEqual({
      date,
      queued: 2,
      alreadyQueued: 0,
      hasParagraph: true,
    })
    expect(await entries(tenantId, 'digest')).toMatchObject([
      {
        recipient: 'Boss@x.test',
        dedupe_key: `digest:admin:${date}:boss@x.test`,
        template: 'admin-daily-digest',
        subject: 'Wednesday, 4 March 2026',
      },
      { recipient: 'cfo@x.test' },
    ])
    await kit.drain()
    expect(await entries(tenantId, 'digest')).toMatchObject([{ status: 'sent' }, { status: 'sent' }])
  })

  test('a repeat tells who is missing, and asks nobody when none is', async () => {
    await run({ date, recipients })
    const asked = providers.anthropic.requests.length
    expect(await run({ date, recipients: ['BOSS@x.test'] })).toEqual({ date, queued: 0, alreadyQueued: 1 })
    expect(providers.anthropic.requests).toHaveLength(asked)
    expect(await run({ date, recipients: [...recipients, 'new@x.test'] })).toMatchObject({
      queued: 1,
      alreadyQueued: 1,
    })
    expect(await run({ date: '2026-03-05', recipients })).toMatchObject({ queued: 1 })
    expect(await entries(tenantId, 'digest')).toHaveLength(3)
  })

  test('otherwise those whom the tenant warns of a low balance', async () => {
    await tell(['treasury@x.test'])
    expect(await run({ date })).toMatchObject({ queued: 1 })
    expect(await entries(tenantId, 'digest')).toMatchObject([{ recipient: 'treasury@x.test' }])
  })

  test('nobody, and it says so', async () => {
    const nobody = { date, queued: 0, reason: expect.stringContaining('nobody is to be told') }
    expect(await run({ date })).toEqual(nobody)
    await tell([])
    expect(await run({ date })).toEqual(nobody)
    expect(providers.anthropic.requests).toHaveLength(0)
  })

  test('of runs at once, one email each', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => run({ date, recipients })))
    expect(answers.reduce((sum, { queued }) => sum + queued, 0)).toBe(1)
    expect(await entries(tenantId, 'digest')).toHaveLength(1)
  })

  test('an address is one', async () => {
    for (const wrong of [[], ['boss']]) {
      await expect(run({ date, recipients: wrong })).rejects.toThrow(InvalidPayloadError)
    }
  })
})

describe('which day', () => {
  test('yesterday by the tenant’s clock, and after a weekend all of it', async () => {
    for (const timezone of ['Pacific/Kiritimati', 'Etc/GMT+12']) {
      const tenant = await kit.tenant({ timezone })
      const clock = await today(timezone)
      expect(await run({ recipients }, tenant)).toMatchObject({ date: clock.yesterday, queued: 1 })
      const [digest] = await entries(tenant, 'digest')
      const from = clock.weekday === 1 ? clock.friday : clock.yesterday
      expect(digest.data).toMatchObject({ from, date: clock.yesterday })
    }
  })

  test('today may be asked for, tomorrow has not begun', async () => {
    const clock = await today()
    await addOrder(tenantId)
    expect(await run({ date: clock.today, recipients })).toMatchObject({ queued: 1 })
    const [digest] = await entries(tenantId, 'digest')
    expect(digest.data).toMatchObject({ from: clock.today, orders: { placed: 1 } })
    await expectAbort(run({ date: '9999-01-01', recipients }), /has not begun/)
  })
})

describe('what it says', () => {
  test('orders, creators and payouts of the day, by the tenant’s clock', async () => {
    const tenant = await kit.tenant({ timezone: 'America/New_York' })
    // The 4th of March in New York.
    const [before, start, end] = ['2026-03-04T04:59:59Z', '2026-03-04T05:00:00Z', '2026-03-05T05:00:00Z'].map(
      (time) => new Date(time),
    )
    const order = (total_cents: number, fields: object) => addOrder(tenant, { total_cents, ...fields })
    await order(1, { order_placed_at: before })
    await order(20, { order_placed_at: start })
    await order(2_000_000_000, { order_placed_at: start })
    await order(2_000_000_000, { order_placed_at: start })
    await order(300, { order_placed_at: start, currency: 'EUR' })
    await order(4_000, { order_placed_at: start, status: 'cancelled' })
    await order(50_000, { order_placed_at: start, financial_status: 'refunded' })
    await order(600_000, { order_placed_at: end })
    await order(7, { created_at: start })

    const creator_id = await addCreator(tenant, { created_at: before, approved_at: start })
    await addCreator(tenant, { created_at: start, status: 'pending' })
    await addCreator(tenant, { created_at: end, status: 'pending' })

    const payout = (net_amount_cents: number, fields: object) => {
      const amounts = { amount_cents: net_amount_cents, net_amount_cents, currency: 'USD', method: 'stripe' }
      return add(tenant, 'payouts', { creator_id, ...amounts, ...fields })
    }
    await payout(100, { status: 'completed', completed_at: start })
    await payout(23, { status: 'completed', completed_at: start })
    await payout(9, { status: 'completed', completed_at: start, currency: 'EUR' })
    await payout(500, { status: 'completed', completed_at: before })
    await payout(600, { status: 'failed', failed_at: start })
    await payout(600, { status: 'failed', failed_at: end })
    await payout(700, { status: 'processing' })

    await run({ date, recipients }, tenant)
    const [digest] = await entries(tenant, 'digest')
    expect(digest.data).toMatchObject({
      orders: {
        placed: 7,
        cancelled: 2,
        sales: [
          { currency: 'EUR', cents: '300' },
          { currency: 'USD', cents: '4000000027' },
        ],
      },
      creators: { applied: 1, approved: 1, waiting: 2 },
      payouts: {
        completed: 3,
        paid: [
          { currency: 'EUR', cents: '9' },
          { currency: 'USD', cents: '123' },
        ],
        failed: 1,
        underWay: 1,
      },
      failedRuns: { count: 0, isAll: true, byTask: [] },
    })
  })

  test('an empty shop has a digest as well, and it can be sent', async () => {
    await run({ date, recipients: ['owner@x.test'] })
    await kit.drain()
    const email = providers.resend.emails.find(({ to }) => to[0] === 'owner@x.test')
    expect(email!.text).toContain('Placed: 0\n')
    expect(email!.text).toContain('No background run failed.')
  })

  test('runs that failed on the day, of this tenant, worst task first, over many pages', async () => {
    const theirs = await kit.tenant()
    await failing.trigger({ tenantId: theirs })
    await failing.batchTrigger(Array.from({ length: 250 }, () => ({ payload: { tenantId } })))
    await alsoFailing.batchTrigger(Array.from({ length: 251 }, () => ({ payload: { tenantId } })))
    await kit.drain()
    const clock = await today()
    await run({ date: clock.today, recipients })
    await run({ date: clock.yesterday, recipients })
    const [first, second] = await entries(tenantId, 'digest')
    expect(first.data.failedRuns).toEqual({ count: 0, isAll: true, byTask: [] })
    expect(second.data.failedRuns).toEqual({
      count: 501,
      isAll: true,
      byTask: [
        { taskId: 'test/also-fail', count: 251 },
        { taskId: 'test/fail', count: 250 },
      ],
    })
  })
})

describe('the paragraph', () => {
  test('is Claude’s, about the figures alone, and the same for all', async () => {
    providers.anthropic.reply = { text: '  A calm\nday. ' }
    await addOrder(tenantId, {
      order_placed_at: new Date('2026-03-04T12:00:00Z'),
      customer_email: 'secret@x.test',
    })
    await run({ date, recipients: ['a@x.test', 'b@x.test'] })
    const [asked] = providers.anthropic.received('POST', '/v1/messages')
    expect(JSON.parse(asked!.body.messages[0].content)).toMatchObject({ date, orders: { placed: 1 } })
    expect(asked!.text).not.toContain('secret')
    expect(providers.anthropic.requests).toHaveLength(1)
    const digests = await entries(tenantId, 'digest')
    expect(digests.map(({ data }) => data.paragraph)).toEqual(['A calm day.', 'A calm day.'])
  })

  test('is left out where the tenant has no account', async () => {
    await deleteCredential(tenantId, 'anthropic', 'api_key')
    expect(await run({ date, recipients })).toMatchObject({ queued: 1, hasParagraph: false })
    expect(providers.anthropic.requests).toHaveLength(0)
    expect((await entries(tenantId, 'digest'))[0].data.paragraph).toBeNull()
  })

  test.each([
    ['an error', { status: 500, body: { type: 'error', error: { type: 'api_error', message: 'x' } } }],
    [
      'a refused key',
      { status: 401, body: { type: 'error', error: { type: 'authentication_error', message: 'x' } } },
    ],
    ['no answer', { instead: 'reset' as const }],
  ])('is left out on %s', async (_, answer) => {
    providers.anthropic.answerNext(answer)
    expect(await run({ date, recipients })).toMatchObject({ queued: 1, hasParagraph: false })
    expect((await entries(tenantId, 'digest'))[0].data.paragraph).toBeNull()
  })

  test.each([
    { text: '   ' },
    { text: 'x'.repeat(1_001) },
    { text: 'Cut o', stopReason: 'max_tokens' as const },
    { text: 'No.', stopReason: 'refusal' as const },
  ])('is left out when it cannot be used: %j', async (reply) => {
    providers.anthropic.reply = reply
    expect(await run({ date, recipients })).toMatchObject({ queued: 1, hasParagraph: false })
  })

  test('a run that is cancelled while Claude writes queues nothing', async () => {
    const controller = new AbortController()
    providers.anthropic.reply = () => {
      controller.abort(new Error('cancelled'))
      return { text: 'Too late.' }
    }
    const options = { signal: controller.signal }
    await expect(kit.runTask(adminDailyDigest, { tenantId, date, recipients }, options)).rejects.toThrow()
    expect(await entries(tenantId, 'digest')).toHaveLength(0)
  })
})
