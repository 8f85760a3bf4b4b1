/**
 * Brings the products to what Shopify has now, page by page. A version that is not newer than the row changes nothing.
 * What was deleted at Shopify stays: order lines refer to it.
 *
 * A large catalogue is a chain of runs: after some pages, or when the shop asks to wait, the rest is a new run.
 */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
import { numericId } from '../shopify/ids.ts'
import { toCents } from '../shopify/money.ts'
import { mustWait } from '../shopify/must-wait.ts'
import { fetchProducts, positionAfter, type ShopifyProduct } from './fetch-products.ts'

const pagesPerRun = 40

export const syncProducts = defineTask({
  id: 'products/sync-batch',
  payload: tenantPayload({
    /** Only what was updated since then; without it, everything. */
    updatedSince: z.iso.datetime({ offset: true }).optional(),
    /** The number of a product: only those after it. How a run hands over to the next one. */
    cursor: z
      .string()
      .regex(/^[1-9]\d{0,19}$/)
      .optional(),
  }),
  services: ['shopify'],
  concurrency: { perTenant: 1 },
  schedules: [{ cron: '0 3 * * *', overlap: 'skip', window: '1h' }],

  async run({ updatedSince, cursor }, context): Promise<Summary> {
    const { tenantId, sql, clients, logger, signal, idempotencyKey } = context
    const count = { seen: 0, changed: 0 }
    const refused: string[] = []
    const since = updatedSince === undefined ? null : new Date(updatedSince)
    let position = cursor ?? null
    const continues = await syncPages()

    if (continues && position !== null) {
      const rest = { tenantId, cursor: position, ...(updatedSince && { updatedSince }) }
      await syncProducts.trigger(rest, { idempotencyKey: idempotencyKey('rest') })
    }
    logger.info({ ...count, refused: refused.length, continues }, 'products synced')
    if (refused.length > 0) {
      throw new AbortTaskError(
        `All other products are synced, but these have a price that cannot be kept: ${refused.join(', ')}.`,
      )
    }
    return { ...count, continuesAfter: continues ? position : null }

    /** Answers whether there is more to read, after `position`. */
    async function syncPages(): Promise<boolean> {
      let pages = 0
      try {
        for await (const page of fetchProducts(clients.shopify, { since, afterId: position })) {
          signal.throwIfAborted()
          const rows = page.products.map((product) => asRowOrRefuse(product, page.currency))
          count.changed += await store(rows.filter((row) => row !== null))
          count.seen += page.products.length
          position = positionAfter(page) ?? position
          pages += 1
          if (pages === pagesPerRun && page.hasNextPage) return true
        }
        return false
      } catch (error) {
        if (pages === 0 || !mustWait(error)) throw error
        return true
      }
    }

    /** One product that cannot be kept must not keep the others out. */
    function asRowOrRefuse(product: ShopifyProduct, currency: string): ProductRow | null {
      try {
        return asRow(product, currency)
      } catch (error) {
        if (!(error instanceof AbortTaskError)) throw error
        const shopifyProductId = numericId(product.id)
        logger.error({ shopifyProductId, reason: error.message }, 'product refused')
        refused.push(shopifyProductId)
        return null
      }
    }

    /** Answers how many rows are new or have changed. In the order of ids, so that two runs cannot block each other. */
    async function store(rows: readonly ProductRow[]): Promise<number> {
      const stored = await sql`
        INSERT INTO products AS known
          (shopify_product_id, title, handle, status, price_cents, compare_at_price_cents, currency,
           inventory_quantity, variants, shopify_updated_at, synced_at)
        SELECT shopify_product_id, title, handle, status, price_cents, compare_at_price_cents,
               currency, inventory_quantity, variants, updated_at, now()
        FROM jsonb_to_recordset(${sql.json(rows)}) AS product (
          shopify_product_id text, title text, handle text, status text, price_cents int,
          compare_at_price_cents int, currency text, inventory_quantity int, variants jsonb, updated_at timestamptz)
        ORDER BY shopify_product_id
        ON CONFLICT (shopify_product_id) DO UPDATE
        SET title = excluded.title,
            handle = excluded.handle,
            status = excluded.status,
            price_cents = excluded.price_cents,
            compare_at_price_cents = excluded.compare_at_price_cents,
            currency = excluded.currency,
            inventory_quantity = excluded.inventory_quantity,
            variants = excluded.variants,
            shopify_updated_at = excluded.shopify_updated_at,
            synced_at = excluded.synced_at
        WHERE known.shopify_updated_at IS NULL OR known.shopify_updated_at < excluded.shopify_updated_at`
      return stored.rowCount
    }
  },
})

interface Summary {
  seen: number
  changed: number
  /** Where a new run goes on. Null: this was the end. */
  continuesAfter: string | null
}

// An unlisted product is sold to whoever has its address. What Shopify adds one day is not shown until we know it.
const statuses: Readonly<Record<string, string>> = {
  ACTIVE: 'active',
  UNLISTED: 'active',
  ARCHIVED: 'archived',
  DRAFT: 'draft',
}

type ProductRow = ReturnType<typeof asRow>

function asRow(product: ShopifyProduct, currency: string) {
  const inCents = (amount: string) => toCents({ amount, currencyCode: currency })
  const variants = product.variants.map((variant) => ({
    id: numericId(variant.id),
    title: variant.title,
    sku: variant.sku,
    priceCents: inCents(variant.price),
    compareAtPriceCents: variant.compareAtPrice === null ? null : inCents(variant.compareAtPrice),
    inventoryQuantity: variant.inventoryQuantity,
  }))
  // What a shop window shows as "from": the cheapest variant, the first of them.
  const [cheapest] = [...variants].sort((a, b) => a.priceCents - b.priceCents)
  return {
    shopify_product_id: numericId(product.id),
    title: product.title,
    handle: product.handle,
    status: statuses[product.status] ?? 'draft',
    price_cents: cheapest?.priceCents ?? null,
    compare_at_price_cents: cheapest?.compareAtPriceCents ?? null,
    currency,
    inventory_quantity: product.totalInventory,
    variants,
    updated_at: product.updatedAt,
  }
}
