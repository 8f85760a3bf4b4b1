/** The platform that a benchmark measures: as an app would configure it, but for the tasks. */
import { Platform, type PlatformOptions } from '../../src/platform.ts'
import { provideDispatcher } from '../../src/task/dispatcher.ts'
import { createTenant } from '../../src/tenants/create.ts'

export function makePlatform(options: PlatformOptions): Platform {
  const platform = new Platform({ logLevel: 'error', ...options })
  provideDispatcher(() => platform.dispatcher)
  return platform
}

/** Tenants with one order each, `order_1`. */
export async function makeTenants(platform: Platform, count: number): Promise<string[]> {
  const { database, tenants } = await platform.ready()
  const slugs = Array.from({ length: count }, (_, index) => `bench_${index + 1}`)
  for (const slug of slugs) {
    await createTenant(tenants, slug)
    await database.withTenant(
      slug,
      () => database.sql`
        INSERT INTO orders (id, order_number, status, fulfillment_status, financial_status, subtotal_cents,
          discount_cents, shipping_cents, tax_cents, total_cents, currency, discount_codes)
        VALUES ('order_1', '1', 'pending', 'unfulfilled', 'paid', 1000, 0, 0, 0, 1000, 'USD', '{}')`,
    )
  }
  return slugs
}
