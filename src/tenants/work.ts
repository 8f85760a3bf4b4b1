/** What the lifecycle of a tenant needs to know and do about its queued work. The engine implements it. */
export interface TenantWork {
  /** Runs that have not ended. */
  countOpen(tenantId: string): Promise<number>
  /** Forgets every run of the tenant, ended or not. */
  drop(tenantId: string): Promise<void>
  /** Makes runs that were held because of the tenant's suspension due again. */
  release(tenantId: string): Promise<void>
}
