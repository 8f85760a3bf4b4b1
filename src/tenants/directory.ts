/**
 * Who is a tenant, and may it work? Asked before every context, so the answers are kept for some seconds. A change is
 * announced on `tenantChannel`, and whoever hears it calls `invalidate`; a process that hears nothing knows it when
 * the answer has grown too old.
 *
 * The Database asks the directory and the directory asks the Database: it is given as a function.
 */
import type { Database } from '../db/database.ts'
import { readServer, roleName } from '../db/roles.ts'
import type { TenantIdentity } from '../db/scope.ts'
import { TenantSuspendedError, UnknownTenantError } from '../errors.ts'
import { parseSlug, schemaName } from './slug.ts'
import { readTenant, type Tenant } from './tenant.ts'

export { tenantChannel } from './tenant.ts'

export interface TenantDirectoryOptions {
  database(): Database
  /** How long an answer counts, in milliseconds. */
  ttlMs?: number
  maxEntries?: number
  /** Milliseconds that never go back. */
  now?(): number
}

interface Entry {
  readonly tenant: Tenant
  readonly identity: TenantIdentity
  readonly readAt: number
}

export class TenantDirectory {
  readonly #database: () => Database
  readonly #ttlMs: number
  readonly #maxEntries: number
  readonly #now: () => number
  /** Least recently used first: a Map keeps the order of insertion, and a hit is inserted again. */
  readonly #entries = new Map<string, Entry>()
  readonly #lookups = new Map<string, Promise<Entry | null>>()

  constructor(options: TenantDirectoryOptions) {
    this.#database = options.database
    this.#ttlMs = options.ttlMs ?? 5_000
    this.#maxEntries = options.maxEntries ?? 10_000
    this.#now = options.now ?? (() => performance.now())
  }

  /** @throws InvalidTenantSlugError before any SQL, UnknownTenantError, TenantSuspendedError. */
  async admit(tenantId: string): Promise<TenantIdentity> {
    const entry = await this.#entry(parseSlug(tenantId))
    if (!entry) throw new UnknownTenantError(tenantId)
    if (entry.tenant.status === 'suspended') throw new TenantSuspendedError(tenantId)
    return entry.identity
  }

  /** The tenant, suspended or not. @throws InvalidTenantSlugError before any SQL. */
  async find(tenantId: string): Promise<Tenant | null> {
    return (await this.#entry(parseSlug(tenantId)))?.tenant ?? null
  }

  /** Forgets one tenant, or all: the next question is answered by the database. */
  invalidate(slug?: string): void {
    // A question that is under way may have been answered before the change: its answer is not kept.
    if (slug === undefined) {
      this.#entries.clear()
      this.#lookups.clear()
    } else {
      this.#entries.delete(slug)
      this.#lookups.delete(slug)
    }
  }

  async #entry(slug: string): Promise<Entry | null> {
    const known = this.#entries.get(slug)
    if (known && this.#now() - known.readAt < this.#ttlMs) {
      this.#entries.delete(slug)
      this.#entries.set(slug, known)
      return known
    }
    return await (this.#lookups.get(slug) ?? this.#lookUp(slug))
  }

  /** However many ask at once, the database is asked once for each slug. */
  #lookUp(slug: string): Promise<Entry | null> {
    const lookup = this.#read(slug)
      .then((entry) => {
        if (this.#lookups.get(slug) === lookup) this.#keep(slug, entry)
        return entry
      })
      .finally(() => {
        if (this.#lookups.get(slug) === lookup) this.#lookups.delete(slug)
      })
    this.#lookups.set(slug, lookup)
    return lookup
  }

  async #read(slug: string): Promise<Entry | null> {
    const readAt = this.#now()
    const database = this.#database()
    const [tenant, server] = await Promise.all([readTenant(database, slug), readServer(database)])
    if (!tenant) return null
    const identity = {
      slug,
      organizationId: tenant.id,
      schema: schemaName(slug),
      role: roleName(slug, server.databaseOid),
    }
    return { tenant, identity, readAt }
  }

  /** Unknown slugs are not kept: callers could fill the memory with them, and a new tenant must be found at once. */
  #keep(slug: string, entry: Entry | null): void {
    this.#entries.delete(slug)
    if (!entry) return
    this.#entries.set(slug, entry)
    if (this.#entries.size <= this.#maxEntries) return
    const [oldest] = this.#entries.keys()
    this.#entries.delete(oldest!)
  }
}
