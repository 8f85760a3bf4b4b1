import { expect, test } from 'vitest'
import { sql, withTenant } from '../../../src/default-platform.ts'
import { syncTopups } from '../../../tasks/treasury/sync-topups.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { add } from '../rows.ts'

const providers = useProviders(['stripe'])

const day = 86_400
const daysAgo = (days: number) => Math.floor(Date.now() / 1_000) - days * day
const sync = (topupId?: string) => kit.runTask(syncTopups, { tenantId, ...(topupId && { topupId }) })

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns of its table.
async function row(topupId: string): Promise<any> {
  const { rows } = await withTenant(
    tenantId,
    () => sql`SELECT * FROM stripe_topups WHERE stripe_topup_id = ${topupId}`,
  )
  return rows[0]
}

/** Top-ups stay for the file, and every test has a tenant of its own. */
const forget = () => providers.stripe.topups.clear()

test('the top-ups of the last 30 days, with what became of them', async () => {
  forget()
  const pending = providers.stripe.addTopup({ amount: 500_000, currency: 'eur' })
  const done = providers.stripe.addTopup({ amount: 100, status: 'succeeded', created: daysAgo(20) })
  const failed = providers.stripe.addTopup({
    amount: 200,
    status: 'failed',
    failure_code: 'insufficient_funds',
    failure_message: 'The bank account has too little money.',
  })
  const old = providers.stripe.addTopup({ amount: 300, status: 'succeeded', created: daysAgo(40) })

  expect(await sync()).toEqual({ seen: 3, changed: 3 })
  expect(await row(pending.id)).toMatchObject({
    amount_cents: 500_000,
    currency: 'EUR',
    status: 'pending',
    completed_at: null,
    created_at: new Date(pending.created * 1_000),
  })
  expect(await row(done.id)).toMatchObject({ status: 'succeeded', completed_at: expect.any(Date) })
  expect(await row(failed.id)).toMatchObject({
    status: 'failed',
    failure_code: 'insufficient_funds',
    failure_message: 'The bank account has too little money.',
  })
  expect(await row(old.id)).toBeUndefined()
  expect(await sync()).toEqual({ seen: 3, changed: 0 })

  providers.stripe.addTopup({ ...pending, status: 'succeeded' })
  expect(await sync()).toEqual({ seen: 3, changed: 1 })
  expect(await row(pending.id)).toMatchObject({ status: 'succeeded', completed_at: expect.any(Date) })
})

test('reaches back as far as one is pending, whoever wrote its row', async () => {
  forget()
  const created = daysAgo(50)
  const topup = providers.stripe.addTopup({ amount: 100, status: 'canceled', created })
  const created_at = new Date((created + 60) * 1_000)
  const fields = { stripe_topup_id: topup.id, amount_cents: 100, currency: 'USD', created_at }
  await add(tenantId, 'stripe_topups', fields)
  expect(await sync()).toEqual({ seen: 1, changed: 1 })
  expect(await row(topup.id)).toMatchObject({ status: 'canceled', created_at })
  expect(await sync()).toEqual({ seen: 0, changed: 0 })
})

test('every page, and each top-up once', async () => {
  forget()
  for (let index = 0; index < 205; index += 1) providers.stripe.addTopup({ amount: index + 1 })
  expect(await sync()).toEqual({ seen: 205, changed: 205 })
  expect(providers.stripe.received('GET', '/v1/topups')).toHaveLength(3)
})

test('an end stays: only a reversal comes after success', async () => {
  forget()
  const { id } = providers.stripe.addTopup({ amount: 100 })
  const become = async (status: 'pending' | 'succeeded' | 'failed' | 'reversed') => {
    providers.stripe.topups.get(id)!.status = status
    const { changed } = await sync(id)
    return changed
  }
  expect(await become('pending')).toBe(1)
  expect(await become('succeeded')).toBe(1)
  const { completed_at } = await row(id)
  expect(await become('pending')).toBe(0)
  expect(await become('failed')).toBe(0)
  expect(await row(id)).toMatchObject({ status: 'succeeded' })
  expect(await become('reversed')).toBe(1)
  expect(await become('succeeded')).toBe(0)
  expect(await row(id)).toMatchObject({ status: 'reversed', completed_at })
})

test('runs at once write each top-up once', async () => {
  forget()
  for (let index = 0; index < 20; index += 1) providers.stripe.addTopup({ amount: 1, status: 'succeeded' })
  const answers = await Promise.all([sync(), sync(), sync()])
  expect(answers.reduce((sum, { changed }) => sum + changed, 0)).toBe(20)
})

test('one top-up by its id; one that Stripe does not know is an error', async () => {
  forget()
  const { id } = providers.stripe.addTopup({ amount: 100 })
  providers.stripe.addTopup({ amount: 100 })
  expect(await sync(id)).toEqual({ seen: 1, changed: 1 })
  await expect(sync('tu_none')).rejects.toMatchObject({ code: 'resource_missing' })
})

test('an answer that breaks off leaves whole pages, and the retry does the rest', async () => {
  forget()
  for (let index = 0; index < 150; index += 1) providers.stripe.addTopup({ amount: 1 })
  providers.stripe.answerNext({ instead: 'reset' }, { matches: ({ query }) => query.has('starting_after') })
  await expect(sync()).rejects.toThrow()
  expect(await sync()).toEqual({ seen: 150, changed: 50 })
})

test('events of Stripe name the top-up; others are not for this task', () => {
  const [webhook] = syncTopups.webhooks
  const payload = (body: unknown) => webhook!.payload({ id: 'evt_1', type: 'topup.failed', body })
  expect(webhook!.events).toEqual(
    ['created', 'succeeded', 'failed', 'canceled', 'reversed'].map((event) => `topup.${event}`),
  )
  const topup = providers.stripe.addTopup({ amount: 100 })
  expect(payload(JSON.parse(providers.stripe.event('topup.failed', topup)))).toEqual({ topupId: topup.id })
  for (const body of [null, {}, { data: { object: { id: 7 } } }]) expect(payload(body)).toBeNull()
})
