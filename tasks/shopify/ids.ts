/**
 * Shopify's ids. Its API speaks of gid://shopify/Order/450789469, its webhooks and its admin pages of 450789469; our rows,
 * payloads and keys have the number as text.
 */
import { z } from 'zod'

type Kind = 'Order' | 'Customer' | 'LineItem' | 'Product' | 'ProductVariant'

export function gid(kind: Kind, id: string): string {
  return `gid://shopify/${kind}/${id}`
}

/** gid://shopify/Order/450789469 -> 450789469 */
export function numericId(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1)
}

/** Of a payload: either form comes in, the number goes on. */
export const shopifyOrderId = z
  .string()
  .regex(/^(gid:\/\/shopify\/Order\/)?[1-9]\d{0,19}$/, 'must be 450789469 or gid://shopify/Order/450789469')
  .transform(numericId)
