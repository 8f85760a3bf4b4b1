/** Reads the products of a shop, in the order of their ids and with all of their variants. */
import type { ServiceClients } from '@cgk-platform/jobs'
import { numericId } from '../shopify/ids.ts'
import { updatedSince } from '../shopify/search.ts'

export interface ShopifyProduct {
  id: string
  title: string
  handle: string
  /** ACTIVE, ARCHIVED, DRAFT, UNLISTED */
  status: string
  updatedAt: string
  /** Of all variants and places; negative where more was sold than there was. */
  totalInventory: number
  variants: Variant[]
}

export interface Variant {
  id: string
  title: string
  sku: string | null
  /** A decimal in the shop's currency. */
  price: string
  compareAtPrice: string | null
  inventoryQuantity: number | null
}

interface Page<Node> {
  nodes: Node[]
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

// A query may cost 1000 points, and a variant costs one: hence 25 of each. Few products have more variants.
const productsQuery = `
  query Products($query: String, $after: String) {
    shop { currencyCode }
    products(first: 25, after: $after, query: $query, sortKey: ID) {
      nodes {
        id title handle status updatedAt totalInventory
        variants(first: 25) {
          nodes { id title sku price compareAtPrice inventoryQuantity }
          pageInfo { hasNextPage endCursor }
        }
      }
      pageInfo { hasNextPage endCursor }
    }
  }`

interface ProductsAnswer {
  shop: { currencyCode: string }
  products: Page<Omit<ShopifyProduct, 'variants'> & { variants: Page<Variant> }>
}

const variantsQuery = `
  query ProductVariants($id: ID!, $after: String) {
    product(id: $id) {
      variants(first: 250, after: $after) {
        nodes { id title sku price compareAtPrice inventoryQuantity }
        pageInfo { hasNextPage endCursor }
      }
    }
  }`

interface VariantsAnswer {
  product: { variants: Page<Variant> } | null
}

export interface ProductPage {
  products: ShopifyProduct[]
  /** The shop's, which all prices are in. */
  currency: string
  hasNextPage: boolean
}

/** Shopify does not page beyond 25,000 of one query; `afterId`, a product's number, begins a new one. */
export async function* fetchProducts(
  shopify: ServiceClients['shopify'],
  { since, afterId }: { since: Date | null; afterId: string | null },
): AsyncGenerator<ProductPage> {
  const filters = [afterId && `id:>${afterId}`, since && updatedSince(since)]
  const query = filters.filter(Boolean).join(' AND ') || null
  for (let after: string | null = null; ; ) {
    const variables: { query: string | null; after: string | null } = { query, after }
    const { data } = await shopify.request<ProductsAnswer>(productsQuery, { variables })
    const { nodes, pageInfo } = data!.products
    const products: ShopifyProduct[] = []
    for (const node of nodes) {
      products.push({ ...node, variants: await fetchVariants(shopify, node.id, node.variants) })
    }
    yield { products, currency: data!.shop.currencyCode, hasNextPage: pageInfo.hasNextPage }
    if (!pageInfo.hasNextPage) return
    after = pageInfo.endCursor
  }
}

/**
 * A product that changes while its variants are read is mixed of two versions. It is stored as the first of them, so the
 * next sync finds it outdated and puts it right.
 */
async function fetchVariants(
  shopify: ServiceClients['shopify'],
  productId: string,
  first: Page<Variant>,
): Promise<Variant[]> {
  const variants = [...first.nodes]
  for (let { pageInfo } = first; pageInfo.hasNextPage; ) {
    const variables = { id: productId, after: pageInfo.endCursor }
    const { data } = await shopify.request<VariantsAnswer>(variantsQuery, { variables })
    if (!data?.product) break
    variants.push(...data.product.variants.nodes)
    pageInfo = data.product.variants.pageInfo
  }
  return variants
}

/** Where the reading goes on after this page. */
export function positionAfter({ products }: ProductPage): string | null {
  const last = products.at(-1)
  return last ? numericId(last.id) : null
}
