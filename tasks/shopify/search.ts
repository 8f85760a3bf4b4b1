/** For the `query` of a list, in Shopify's search syntax. Shopify keeps whole seconds. */
export function updatedSince(time: Date): string {
  return `updated_at:>='${time.toISOString().replace(/\.\d+Z$/, 'Z')}'`
}
