/** The schema that holds a tenant's tables. The slug was validated (tenants/slug.ts), so the name fits and is plain. */
export function schemaName(slug: string): string {
  return `tenant_${slug}`
}
