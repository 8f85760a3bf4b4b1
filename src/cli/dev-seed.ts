/**
 * What `cgk dev` has to show: two tenants, each with a few rows that give every task something to work on, and one new
 * pending order per start. Ids are fixed, so that two that start at once seed the same rows once.
 */
import { TenantExistsError } from '../errors.ts'
import type { Jobs } from './session.ts'

export const devTenants = [
  { slug: 'rawdog', name: 'Rawdog' },
  { slug: 'acme', name: 'Acme' },
] as const

/** Answers the slugs it created. */
export async function createMissingTenants(jobs: Jobs): Promise<string[]> {
  const there = new Set((await jobs.listTenants()).map(({ slug }) => slug))
  const created: string[] = []
  for (const { slug, name } of devTenants.filter((tenant) => !there.has(tenant.slug))) {
    try {
      await jobs.createTenant(slug, { name })
      created.push(slug)
    } catch (error) {
      // Another `cgk dev` was faster.
      if (!(error instanceof TenantExistsError)) throw error
    }
  }
  return created
}

/** Seeds a tenant that has no orders. */
export async function seedOrders({ withTenant, transaction, sql }: Jobs, slug: string): Promise<void> {
  await withTenant(slug, async () => {
    const { rows } = await sql`SELECT id FROM orders LIMIT 1`
    if (rows.length > 0) return
    const code = `${slug.toUpperCase()}10`
    await transaction(async () => {
      await sql`
        INSERT INTO customers (id, email, first_name, last_name) VALUES
          ('customer_1', 'ada@example.com', 'Ada', 'Lovelace'),
          ('customer_2', 'grace@example.com', 'Grace', 'Hopper'),
          ('customer_3', 'linus@example.com', 'Linus', 'Pauling')
        ON CONFLICT DO NOTHING`
      await sql`
        INSERT INTO products (id, title, handle, status, price_cents, inventory_quantity) VALUES
          ('product_1', 'Coffee, 500 g', 'coffee-500', 'active', 1450, 200),
          ('product_2', 'Mug', 'mug', 'active', 1200, 80)
        ON CONFLICT DO NOTHING`
      await sql`
        INSERT INTO creators (id, email, first_name, last_name, status, referral_code, approved_at) VALUES
          ('creator_1', 'maya@example.com', 'Maya', 'Lin', 'active', ${code}, now()),
          ('creator_2', 'theo@example.com', 'Theo', 'Jansen', 'pending', NULL, NULL)
        ON CONFLICT DO NOTHING`
      await sql`
        INSERT INTO orders (id, order_number, customer_id, status, financial_status, fulfillment_status,
                            subtotal_cents, discount_cents, total_cents, discount_codes, order_placed_at, fulfilled_at)
        VALUES
          ('order_1001', '#1001', 'customer_1', 'pending', 'pending', 'unfulfilled',
           1450, 0, 1450, '{}', now() - interval '1 hour', NULL),
          ('order_1002', '#1002', 'customer_2', 'confirmed', 'paid', 'unfulfilled',
           4100, 410, 3690, ARRAY[${code}::text], now() - interval '1 day', NULL),
          ('order_1003', '#1003', 'customer_3', 'delivered', 'paid', 'fulfilled',
           2900, 290, 2610, ARRAY[${code}::text], now() - interval '40 days', now() - interval '35 days')
        ON CONFLICT DO NOTHING`
      await sql`
        INSERT INTO order_line_items (id, order_id, product_id, title, quantity, price_cents) VALUES
          ('item_1', 'order_1001', 'product_1', 'Coffee, 500 g', 1, 1450),
          ('item_2', 'order_1002', 'product_1', 'Coffee, 500 g', 2, 1450),
          ('item_3', 'order_1002', 'product_2', 'Mug', 1, 1200),
          ('item_4', 'order_1003', 'product_1', 'Coffee, 500 g', 2, 1450)
        ON CONFLICT DO NOTHING`
    })
  })
}

/** A new paid order that waits to be processed; answers its id. */
export async function placeOrder({ withTenant, sql }: Jobs, slug: string): Promise<string> {
  return await withTenant(slug, async () => {
    const { rows } = await sql<{ id: string }>`
      INSERT INTO orders (order_number, customer_id, financial_status, subtotal_cents, total_cents, order_placed_at)
      SELECT '#' || 1001 + count(*), (SELECT min(id) FROM customers), 'paid', 1450, 1450, now() FROM orders
      RETURNING id`
    return rows[0]!.id
  })
}
