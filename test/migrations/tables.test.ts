/** What the tables themselves keep right, whatever a task does. */
import { beforeEach, describe, expect, test } from 'vitest'
import { sql, withTenant } from '../../src/default-platform.ts'
import { kit, tenantId, useTestPlatform } from '../tasks/kit.ts'
import { add, addCreator, addOrder, find, set } from '../tasks/rows.ts'

useTestPlatform()

const [notUnique, notAllowed] = ['23505', '23514']

async function refused(inserting: Promise<unknown> | PromiseLike<unknown>, code: string): Promise<void> {
  await expect(Promise.resolve(inserting)).rejects.toMatchObject({ code })
}

describe('tables of the platform', () => {
  const organization = (slug: string) =>
    sql`INSERT INTO public.organizations (slug, name) VALUES (${slug}, 'x')`

  test.each(['', 'A', '1a', 'a-b', 'a b', 'a\n', '_a', 'ä', `b${'x'.repeat(48)}`])(
    '%j is no slug',
    async (slug) => {
      await refused(organization(slug), notAllowed)
    },
  )

  test('a slug, an email and an open invitation exist once', async () => {
    await refused(organization(tenantId), notUnique)
    const user = (email: string) => sql<{ id: string }>`
      INSERT INTO public.users (email) VALUES (${email}) RETURNING id`
    const { rows } = await user(`Me@${tenantId}.test`)
    await refused(user(`me@${tenantId.toUpperCase()}.test`), notUnique)

    const invite = (email: string, token: string, status: string) => sql`
      INSERT INTO public.team_invitations (organization_id, email, role, invited_by, token_hash, status, expires_at)
      SELECT id, ${email}, 'member', ${rows[0]!.id}, ${tenantId + token}, ${status}, now()
      FROM public.organizations WHERE slug = ${tenantId}`
    await invite('i@x.test', '1', 'pending')
    await refused(invite('I@x.test', '2', 'pending'), notUnique)
    await invite('i@x.test', '3', 'revoked')
    await refused(invite('j@x.test', '1', 'pending'), notUnique)
    await refused(invite('j@x.test', '9', 'sent'), notAllowed)
  })

  test('a flag has a type that is known', async () => {
    await sql`INSERT INTO public.feature_flags (key, type) VALUES ('f', 'boolean')`
    await refused(sql`INSERT INTO public.feature_flags (key, type) VALUES ('g', 'maybe')`, notAllowed)
  })
})

describe('tables of a tenant', () => {
  let orderId: string
  beforeEach(async () => {
    orderId = await addOrder(tenantId)
  })

  test('an order has a known status, no negative amount, a currency in capitals', async () => {
    await refused(addOrder(tenantId, { status: 'lost' }), notAllowed)
    await refused(addOrder(tenantId, { total_cents: -1 }), notAllowed)
    await refused(addOrder(tenantId, { currency: 'usd' }), notAllowed)
  })

  test('a creator has a code of their own, whatever its case, and no negative balance', async () => {
    const creatorId = await addCreator(tenantId, { referral_code: 'dup' })
    await refused(addCreator(tenantId, { referral_code: 'DUP' }), notUnique)
    await refused(addCreator(tenantId, { balance_cents: -1 }), notAllowed)
    const payout = { creator_id: creatorId, amount_cents: 100, fee_cents: 10, net_amount_cents: 100 }
    await refused(add(tenantId, 'payouts', { ...payout, currency: 'USD', method: 'wise' }), notAllowed)
  })

  test('an order earns one commission in the ledger', async () => {
    const creator_id = await addCreator(tenantId)
    const entry = { creator_id, type: 'commission', amount_cents: 5, currency: 'USD', balance_after_cents: 5 }
    await add(tenantId, 'balance_transactions', { ...entry, balance: 'available', order_id: orderId })
    const again = add(tenantId, 'balance_transactions', { ...entry, balance: 'available', order_id: orderId })
    await refused(again, notUnique)
  })

  test('settings are one row, and a currency has one open alert', async () => {
    const settings = (currency: string) =>
      withTenant(
        tenantId,
        () => sql`
      INSERT INTO treasury_settings (low_balance_threshold_cents, currency) VALUES (5, ${currency})`,
      )
    await settings('USD')
    await refused(settings('EUR'), notUnique)
    const alert = (currency: string, closed_at: Date | null) =>
      add(tenantId, 'treasury_alerts', { currency, balance_cents: -5, threshold_cents: 5, closed_at })
    await alert('USD', null)
    await alert('EUR', null)
    await alert('USD', new Date())
    await refused(alert('USD', null), notUnique)
  })

  test('a credential exists once per service and key', async () => {
    const credential = { service_name: 'stripe', credential_key: 'secret_key', encrypted_value: 'v' }
    await add(tenantId, 'tenant_api_credentials', credential)
    await refused(add(tenantId, 'tenant_api_credentials', credential), notUnique)
  })

  test('updated_at follows every change', async () => {
    const creatorId = await addCreator(tenantId)
    const before = await find(tenantId, 'creators', creatorId)
    await set(tenantId, 'creators', creatorId, 'tier', 'gold')
    const after = await find(tenantId, 'creators', creatorId)
    expect(after.updated_at.getTime()).toBeGreaterThan(before.updated_at.getTime())
  })

  test('a customer who goes leaves orders and reviews; an order takes its lines along', async () => {
    const customer_id = await add(tenantId, 'customers', { email: 'q@x.test' })
    const order = await addOrder(tenantId, { customer_id })
    const line = { order_id: order, title: 't', quantity: 1, price_cents: 5 }
    const lineId = await add(tenantId, 'order_line_items', line)
    const product_id = await add(tenantId, 'products', { title: 'p' })
    const reviewId = await add(tenantId, 'reviews', { product_id, customer_id, rating: 5 })
    await refused(add(tenantId, 'reviews', { product_id, rating: 6 }), notAllowed)

    await withTenant(tenantId, () => sql`DELETE FROM customers WHERE id = ${customer_id}`)
    expect((await find(tenantId, 'orders', order)).customer_id).toBeNull()
    expect((await find(tenantId, 'reviews', reviewId)).customer_id).toBeNull()
    await withTenant(tenantId, () => sql`DELETE FROM orders WHERE id = ${order}`)
    expect(await find(tenantId, 'order_line_items', lineId)).toBeUndefined()
  })
})

test('each tenant has rows of its own', async () => {
  const orderId = await addOrder(tenantId)
  expect(await find(await kit.tenant(), 'orders', orderId)).toBeUndefined()
})
