/** Which orders Shopify has updated since a moment, oldest update first. */
import type { ServiceClients } from '@cgk-platform/jobs'
import { numericId } from '../shopify/ids.ts'
import { updatedSince } from '../shopify/search.ts'

export interface UpdatedOrder {
  id: string
  updatedAt: string
}

const updatedOrdersQuery = `
  query OrdersUpdated($query: String!, $after: String) {
    orders(first: 250, after: $after, query: $query, sortKey: UPDATED_AT) {
      nodes { id updatedAt }
      pageInfo { hasNextPage endCursor }
    }
  }`

interface UpdatedOrdersAnswer {
  orders: {
    nodes: UpdatedOrder[]
    pageInfo: { hasNextPage: boolean; endCursor: string | null }
  }
}

/** Page by page. An order that is updated meanwhile moves to the end, so it is seen then and none is missed. */
export async function* fetchUpdatedOrders(
  shopify: ServiceClients['shopify'],
  since: Date,
): AsyncGenerator<UpdatedOrder[]> {
  const query = updatedSince(since)
  for (let after: string | null = null; ; ) {
    const variables: { query: string; after: string | null } = { query, after }
    const { data } = await shopify.request<UpdatedOrdersAnswer>(updatedOrdersQuery, { variables })
    const { nodes, pageInfo } = data!.orders
    yield nodes.map(({ id, updatedAt }) => ({ id: numericId(id), updatedAt }))
    if (!pageInfo.hasNextPage) return
    after = pageInfo.endCursor
  }
}
