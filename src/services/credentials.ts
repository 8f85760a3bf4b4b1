/** The credentials of tenants as people work on them: each change is heard by the clients and the holds at once. */
import type { KeyRings } from '../credentials/key-rings.ts'
import { type CredentialInfo, deleteCredential, listCredentials } from '../credentials/store.ts'
import type { Database } from '../db/database.ts'
import type { Holds } from '../holds/holds.ts'
import { parseSlug } from '../tenants/slug.ts'
import type { TenantClients } from './clients.ts'
import { loadService, type ServiceName } from './registry.ts'
import { checkKey, setCredential } from './set-credential.ts'
import { type CredentialCheck, verifyCredential } from './verify.ts'

export interface TenantCredentials {
  /** What a tenant has, without the values. */
  list(tenantId: string): Promise<CredentialInfo[]>
  /**
   * All or none; what is there and is not named stays. Running workers use them within a second, and runs that were held
   * for want of them go on. Throws what `setCredential` of set-credential.ts throws.
   */
  set(tenantId: string, service: ServiceName, values: Readonly<Record<string, string>>): Promise<void>
  /** False: there was none. Runs that need it are held from now on. Throws UnknownServiceError, InvalidCredentialError. */
  delete(tenantId: string, service: ServiceName, key: string): Promise<boolean>
  /** Asks the provider, with one cheap call, whether it takes them, and keeps the answer. */
  verify(tenantId: string, service: ServiceName): Promise<CredentialCheck>
}

export interface TenantCredentialsDependencies {
  database: Database
  clients: TenantClients
  holds: Holds
}

export function createTenantCredentials(
  keys: KeyRings,
  ready: () => Promise<TenantCredentialsDependencies>,
): TenantCredentials {
  return {
    async list(tenantId) {
      const slug = parseSlug(tenantId)
      const { database } = await ready()
      return await listCredentials({ database, keys }, slug)
    },

    async set(tenantId, service, values) {
      const { database, clients, holds } = await ready()
      await setCredential({ database, keys }, tenantId, service, values)
      await clients.changed(tenantId, service)
      await holds.changed(tenantId, service)
    },

    async delete(tenantId, service, key) {
      const slug = parseSlug(tenantId)
      checkKey(await loadService(service), key)
      const { database, clients } = await ready()
      const deleted = await deleteCredential({ database }, slug, service, key)
      await clients.changed(slug, service)
      return deleted
    },

    async verify(tenantId, service) {
      const dependencies = await ready()
      const check = await verifyCredential(dependencies, tenantId, service)
      await dependencies.holds.changed(tenantId, service)
      return check
    },
  }
}
