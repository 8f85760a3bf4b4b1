/**
 * The clients of tenants: made from decrypted credentials, kept while those stay, replaced when they change.
 *
 * A change is announced, and whoever hears it looks again at once; a process that hears nothing does when the client has
 * not been looked at for some seconds. A client that was replaced is closed: nothing leaves with the old credential.
 */
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { ServiceSettings } from '../config.ts'
import { decrypt } from '../credentials/encryption.ts'
import type { KeyRings } from '../credentials/key-rings.ts'
import { type CredentialRow, readCredentialRows, versionOf } from '../credentials/rows.ts'
import type { Database } from '../db/database.ts'
import type { HoldGate } from '../holds/gate.ts'
import { rememberSecret } from '../redact.ts'
import { parseSlug } from '../tenants/slug.ts'
import { isServiceName, loadService, type ServiceName, serviceNames } from './registry.ts'
import type { Credentials, Service } from './service.ts'
import { Wire } from './wire.ts'

export interface TenantClientsOptions {
  database: Database
  keys: KeyRings
  gate: HoldGate
  settings: Readonly<Record<string, ServiceSettings>>
  publicUrl: string | null
  /** How long a client counts without another look, in milliseconds. */
  ttlMs?: number
  maxClients?: number
}

interface Entry {
  readonly client: unknown
  readonly wire: Wire
  readonly credentials: Credentials
  /** Of the decrypted values: encrypting them anew does not replace a client. */
  readonly fingerprint: string
  version: string
  readAt: number
}

/** What is there of a tenant and a service. */
export type Lookup =
  | { client: unknown; version: string; missing: null }
  | { client: null; version: string; missing: readonly string[] }

const defaultTimeoutMs = 30_000

export class TenantClients {
  readonly #options: TenantClientsOptions
  readonly #ttlMs: number
  readonly #entries: LRUCache<string, Entry>
  readonly #lookups = new Map<string, Promise<Lookup>>()

  constructor(options: TenantClientsOptions) {
    this.#options = options
    this.#ttlMs = options.ttlMs ?? 5_000
    this.#entries = new LRUCache({ max: options.maxClients ?? 2_000 })
  }

  /** Decrypted: what webhooks are checked with, also where they make no client yet. @throws UnknownTenantError, CredentialError. */
  async credentials(tenantId: string, name: ServiceName): Promise<Credentials> {
    await this.find(tenantId, name)
    const kept = this.#entries.get(keyOf(tenantId, name))
    if (kept) return kept.credentials
    const rows = await readCredentialRows(this.#options.database, tenantId, name)
    return this.#decrypt(tenantId, await loadService(name), rows)
  }

  /** @throws UnknownTenantError, CredentialError. */
  find(tenantId: string, service: ServiceName): Lookup | Promise<Lookup> {
    const key = keyOf(parseSlug(tenantId), service)
    const entry = this.#entries.get(key)
    if (entry && performance.now() - entry.readAt < this.#ttlMs) {
      return { client: entry.client, version: entry.version, missing: null }
    }
    return this.#lookups.get(key) ?? this.#lookUp(key, tenantId, service)
  }

  /** The credentials have changed, or may have: the next caller looks. */
  invalidate(tenantId: string, service: string): void {
    const key = keyOf(tenantId, service)
    const entry = this.#entries.get(key)
    if (entry) entry.readAt = Number.NEGATIVE_INFINITY
    // A look that is under way may have come before the change.
    this.#lookups.delete(key)
  }

  /**
   * Somebody says that the credentials have changed. A client that is kept is looked at at once: if it was replaced it is
   * closed, also for a run that has been holding it for long.
   */
  async changed(tenantId: string, service: string): Promise<void> {
    this.invalidate(tenantId, service)
    if (!isServiceName(service) || !this.#entries.has(keyOf(tenantId, service))) return
    await Promise.resolve(this.find(tenantId, service)).catch(() => this.#drop(keyOf(tenantId, service)))
  }

  /** The tenant itself has changed: it may be gone, and its slug another's before long. */
  async tenantChanged(tenantId: string): Promise<void> {
    await Promise.all(serviceNames.map((service) => this.changed(tenantId, service)))
  }

  /** Changes may have gone unheard. */
  invalidateAll(): void {
    for (const entry of this.#entries.values()) entry.readAt = Number.NEGATIVE_INFINITY
    this.#lookups.clear()
  }

  close(): void {
    for (const { wire } of this.#entries.values()) wire.close()
    this.#entries.clear()
  }

  /** A client that nobody else has and that no hold stops: for verification. */
  async connectOnce(tenantId: string, name: ServiceName): Promise<Lookup & { credentials: Credentials }> {
    const service = await loadService(name)
    const rows = await readCredentialRows(this.#options.database, tenantId, name)
    const version = versionOf(rows)
    const missing = missingKeys(service, rows)
    if (missing.length > 0) return { client: null, version, missing, credentials: {} }
    const credentials = this.#decrypt(tenantId, service, rows)
    const { client } = this.#connect(tenantId, service, credentials, null)
    return { client, version, missing: null, credentials }
  }

  #lookUp(key: string, tenantId: string, service: ServiceName): Promise<Lookup> {
    const lookup = this.#read(key, tenantId, service).finally(() => {
      if (this.#lookups.get(key) === lookup) this.#lookups.delete(key)
    })
    this.#lookups.set(key, lookup)
    return lookup
  }

  async #read(key: string, tenantId: string, name: ServiceName): Promise<Lookup> {
    const readAt = performance.now()
    const service = await loadService(name)
    const rows = await readCredentialRows(this.#options.database, tenantId, name)
    const version = versionOf(rows)
    const known = this.#entries.get(key)
    if (known?.version === version) {
      known.readAt = readAt
      return { client: known.client, version, missing: null }
    }
    const missing = missingKeys(service, rows)
    const credentials = missing.length > 0 ? {} : this.#decrypt(tenantId, service, rows)
    const fingerprint = fingerprintOf(credentials)
    if (known?.fingerprint === fingerprint) {
      Object.assign(known, { version, readAt })
      return { client: known.client, version, missing: null }
    }
    this.#drop(key)
    // Not kept: a credential that is set is found at once.
    if (missing.length > 0) return { client: null, version, missing }
    const pass = () => this.#options.gate.pass(tenantId, name)
    const { client, wire } = this.#connect(tenantId, service, credentials, pass)
    this.#entries.set(key, { client, wire, credentials, fingerprint, version, readAt })
    return { client, version, missing: null }
  }

  #drop(key: string): void {
    this.#entries.get(key)?.wire.close()
    this.#entries.delete(key)
  }

  #decrypt(tenantId: string, { name, keys }: Service, rows: readonly CredentialRow[]): Credentials {
    const ring = this.#options.keys.of(name)
    const credentials: Record<string, string> = {}
    for (const { key, encrypted } of rows) {
      const value = decrypt(encrypted, { tenantId, service: name, key }, ring)
      if (keys[key]?.secret !== false) rememberSecret(value)
      credentials[key] = value
    }
    return credentials
  }

  #connect(
    tenantId: string,
    service: Service,
    credentials: Credentials,
    pass: (() => void | Promise<void>) | null,
  ): { client: unknown; wire: Wire } {
    const { settings, publicUrl } = this.#options
    const { baseUrl = service.baseUrl, timeoutMs = service.timeoutMs ?? defaultTimeoutMs } =
      settings[service.name] ?? {}
    const wire = new Wire({ service: service.name, tenantId, timeoutMs, pass })
    const webhookUrl = publicUrl && `${publicUrl}/webhooks/${tenantId}/${service.name}`
    const client = service.connect({ credentials, tenantId, baseUrl, timeoutMs, wire, webhookUrl })
    return { client, wire }
  }
}

function fingerprintOf(credentials: Credentials): string {
  return createHash('sha256').update(JSON.stringify(credentials)).digest('base64url')
}

function missingKeys(service: Service, rows: readonly CredentialRow[]): string[] {
  const there = new Set(rows.map(({ key }) => key))
  return Object.entries(service.keys).flatMap(([key, { required }]) =>
    required && !there.has(key) ? [key] : [],
  )
}

function keyOf(tenantId: string, service: string): string {
  return `${tenantId} ${service}`
}
