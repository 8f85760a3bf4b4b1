/**
 * The functions an app imports, bound to the default platform: made at first use from the environment, replaced by
 * `configure`, ended by `close`. Inside a `withTenant` or a run of another platform they stay with that one.
 */

import type { AuditLog } from './audit/audit.ts'
import {
  requireAuth as authenticate,
  type TenantContext,
  getTenantContext as tenantContextOf,
} from './auth/authenticate.ts'
import {
  type TenantAccess,
  getUserTenants as tenantsOf,
  type UserTenant,
  validateTenantAccess as validateAccess,
} from './auth/memberships.ts'
import type { Principal } from './auth/principal.ts'
import { switchTenant as switchTo } from './auth/sessions.ts'
import { openTenantCache, type TenantCache } from './cache/tenant-cache.ts'
import { type CredentialPlace, decrypt, encrypt } from './credentials/encryption.ts'
import type { CredentialInfo } from './credentials/store.ts'
import { currentScope, type Scope } from './db/scope.ts'
import { createSqlTag, type SqlTag } from './db/statement.ts'
import type { Worker } from './engines/engine.ts'
import type { WorkerOptions } from './engines/worker-options.ts'
import { ServiceNotConfiguredError } from './errors.ts'
import { Platform, type PlatformOptions } from './platform.ts'
import type { BulkActions } from './runs/bulk/bulk.ts'
import { createFailures, type Failures } from './runs/failures.ts'
import { createRuns, type Runs } from './runs/runs.ts'
import type { Schedules } from './schedules/schedules.ts'
import type { Lookup } from './services/clients.ts'
import type { ServiceClients, ServiceName } from './services/registry.ts'
import type { CredentialCheck } from './services/verify.ts'
import { currentRun } from './task/context.ts'
import type { AnyTask } from './task/define.ts'
import { provideDispatcher } from './task/dispatcher.ts'
import type { TriggerOptions } from './task/options.ts'
import type { PayloadOf, TaskId } from './task/registry.ts'
import type { RunHandle } from './task/run.ts'
import { type BatchItem, batchTrigger, trigger } from './task/trigger.ts'
import { createTenant as create } from './tenants/create.ts'
import { deleteTenant as remove } from './tenants/delete.ts'
import { listTenants as list } from './tenants/list.ts'
import { createTenantSchema as createSchema, runTenantMigrations as migrate } from './tenants/migrate.ts'
import { parseSlug } from './tenants/slug.ts'
import { resumeTenant as resume, suspendTenant as suspend } from './tenants/suspend.ts'
import type { Tenant } from './tenants/tenant.ts'

let platform: Platform | null = null

/** `make` is called where nobody has used or configured one before. */
export function defaultPlatform(make = () => new Platform()): Platform {
  platform ??= make()
  return platform
}

/** Replaces the default platform. Close the one before it first, if it was used. */
export function configure(options: PlatformOptions): Platform {
  platform = new Platform(options)
  return platform
}

/** Ends the default platform: workers finish or hand back, connections close, an embedded Postgres stops. */
export async function close(): Promise<void> {
  const ending = platform
  platform = null
  await ending?.close()
}

provideDispatcher(() => defaultPlatform().dispatcher)

// ── database ────────────────────────────────────────────────────────────────────────────────────────────────

const surrounding = (): Scope['database'] | undefined => currentScope()?.database
const database = async () => surrounding() ?? (await defaultPlatform().ready()).database

/** A statement: sql`SELECT ...` composes, and runs when it is awaited. Answers `{ rows, rowCount }`. */
export const sql: SqlTag = createSqlTag(async (statement) => (await database()).run(statement))

/** Opens the tenant's context and calls `fn` in it exactly once. */
export async function withTenant<T>(tenantId: string, fn: () => T | PromiseLike<T>): Promise<T> {
  return await (await database()).withTenant(tenantId, fn)
}

/** One transaction of the current tenant; a task triggered inside it is queued with it or not at all. */
export async function transaction<T>(fn: () => T | PromiseLike<T>): Promise<T> {
  return await (await database()).transaction(fn)
}

/** The slug of the tenant this code runs in, or null. */
export function currentTenant(): string | null {
  const scope = currentScope()
  return scope?.database.currentTenant() ?? null
}

// ── tenants ─────────────────────────────────────────────────────────────────────────────────────────────────

const tenants = async () => (await defaultPlatform().ready()).tenants

/** Makes a tenant, all or nothing: schema, role, tables, and its row in `public.organizations`. */
export async function createTenant(
  slug: string,
  options: { name?: string; timezone?: string } = {},
): Promise<Tenant> {
  return await create(await tenants(), slug, options)
}

/** Makes schema, role and tables for a tenant whose row exists already. Safe to repeat. */
export async function createTenantSchema(slug: string): Promise<void> {
  await createSchema(await tenants(), slug)
}

/** Applies what is pending in one tenant's schema. */
export async function runTenantMigrations(slug: string): Promise<void> {
  await migrate(await tenants(), slug)
}

export async function listTenants(): Promise<Tenant[]> {
  return await list(await tenants())
}

/** Nothing of this tenant runs any more until it is resumed; what is queued waits. */
export async function suspendTenant(slug: string): Promise<void> {
  await suspend(await tenants(), slug)
}

export async function resumeTenant(slug: string): Promise<void> {
  await resume(await tenants(), slug)
}

/** Removes a tenant and everything it has. Refuses while runs are open, unless forced. */
export async function deleteTenant(slug: string, options: { force?: boolean } = {}): Promise<void> {
  const { tenants: deps, clients } = await defaultPlatform().ready()
  await remove(deps, slug, options)
  await clients.tenantChanged(slug)
}

// ── people and keys ─────────────────────────────────────────────────────────────────────────────────────────

const auth = async () => (await defaultPlatform().ready()).auth

/**
 * Who sent the request: a user by the session cookie, or an API key by `Authorization: Bearer`. What they may is for
 * `can(principal, permission, tenantId)` to say.
 *
 * @throws UnauthenticatedError; AmbiguousCredentialsError for both at once; CrossSiteRequestError for an unsafe method
 * with the cookie and without its CSRF token.
 */
export async function requireAuth(request: Request): Promise<Principal> {
  return await authenticate(await auth(), request)
}

/** The tenant that the request is about: the one chosen in the session, or the key's. @throws NoTenantChosenError, and what `requireAuth` throws. */
export async function getTenantContext(request: Request): Promise<TenantContext> {
  return await tenantContextOf(await auth(), request)
}

/** The tenants that the user belongs to, by slug, with role and permissions. None for a user who is disabled. */
export async function getUserTenants(userId: string): Promise<UserTenant[]> {
  return await tenantsOf(await auth(), userId)
}

/** What the user is in this tenant. @throws ForbiddenError where nothing, or where there is no such tenant. */
export async function validateTenantAccess(userId: string, tenantId: string): Promise<TenantAccess> {
  return await validateAccess(await auth(), userId, tenantId)
}

/** From now on the session is about this tenant. @throws ForbiddenError. */
export async function switchTenant(sessionId: string, tenantId: string): Promise<void> {
  await switchTo(await auth(), sessionId, tenantId)
}

// ── credentials and services ────────────────────────────────────────────────────────────────────────────────

const keys = () => defaultPlatform().keys

/** As it is stored; only with the same tenant, service and key does it decrypt. Microseconds, no database. */
export function encryptCredential(value: string, place: CredentialPlace): string {
  return encrypt(value, place, keys().of(place.service))
}

/** @throws CredentialError when the text was changed, cut off or copied from elsewhere; EncryptionKeyMissingError. */
export function decryptCredential(text: string, place: CredentialPlace): string {
  return decrypt(text, place, keys().of(place.service))
}

/**
 * Stores credentials of a service, all or none: `setCredential('rawdog', 'stripe', { secret_key: value })`. Running
 * workers use them within a second, and runs that were held for want of them go on.
 */
export async function setCredential(
  tenantId: string,
  service: ServiceName,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  await defaultPlatform().credentials.set(tenantId, service, values)
}

/** False: there was none. Runs that need it are held from now on. */
export async function deleteCredential(
  tenantId: string,
  service: ServiceName,
  key: string,
): Promise<boolean> {
  return await defaultPlatform().credentials.delete(tenantId, service, key)
}

/** What a tenant has, without the values. */
export async function listCredentials(tenantId: string): Promise<CredentialInfo[]> {
  return await defaultPlatform().credentials.list(tenantId)
}

/** Asks the provider, with one cheap call, whether it takes the tenant's credentials, and keeps the answer. */
export async function verifyCredential(tenantId: string, service: ServiceName): Promise<CredentialCheck> {
  return await defaultPlatform().credentials.verify(tenantId, service)
}

/** The tenant's client, or null where it has not the credentials. Ask for it at each use: it follows their changes. */
type Get<Name extends ServiceName> = (tenantId: string) => Promise<ServiceClients[Name] | null>
/** The same. @throws ServiceNotConfiguredError, which holds a run until the credentials are there. */
type Require<Name extends ServiceName> = (tenantId: string) => Promise<ServiceClients[Name]>

const get = <Name extends ServiceName>(name: Name): Get<Name> => {
  return async (tenantId) => (await find(tenantId, name)).client as ServiceClients[Name] | null
}
const need = <Name extends ServiceName>(name: Name): Require<Name> => {
  return async (tenantId) => {
    const { client, missing } = await find(tenantId, name)
    if (missing) throw new ServiceNotConfiguredError(tenantId, name, missing)
    return client as ServiceClients[Name]
  }
}

/** Inside a run, through the run: what a provider then says of the credential is held against that very one. */
async function find(tenantId: string, name: ServiceName): Promise<Lookup> {
  const services = currentRun()?.services ?? (await defaultPlatform().ready()).clients
  return await services.find(tenantId, name)
}

export const getTenantStripeClient = get('stripe')
export const requireTenantStripeClient = need('stripe')
export const getTenantResendClient = get('resend')
export const requireTenantResendClient = need('resend')
export const getTenantMuxClient = get('mux')
export const requireTenantMuxClient = need('mux')
export const getTenantAssemblyAIClient = get('assemblyai')
export const requireTenantAssemblyAIClient = need('assemblyai')
export const getTenantWiseClient = get('wise')
export const requireTenantWiseClient = need('wise')
export const getTenantAnthropicClient = get('anthropic')
export const requireTenantAnthropicClient = need('anthropic')
export const getTenantShopifyClient = get('shopify')
export const requireTenantShopifyClient = need('shopify')

// ── cache ───────────────────────────────────────────────────────────────────────────────────────────────────

/** The tenant's own entries, in Redis where REDIS_URL is set and in Postgres otherwise. Connects at the first use. */
export function createTenantCache(tenantId: string): TenantCache {
  return openTenantCache(parseSlug(tenantId), async () => {
    const { cache: store, directory } = await defaultPlatform().ready()
    return { store, admit: (slug) => directory.admit(slug) }
  })
}

// ── tasks and runs ──────────────────────────────────────────────────────────────────────────────────────────

export const tasks = {
  /** Triggers a task by its id; ids and payloads are typed where the app has declared its registry. */
  async trigger<Id extends TaskId>(
    id: Id,
    payload: PayloadOf<Id>,
    options?: TriggerOptions,
  ): Promise<RunHandle> {
    return await trigger(await taskById(id), payload, options)
  },

  async batchTrigger<Id extends TaskId>(
    id: Id,
    items: readonly BatchItem<PayloadOf<Id>>[],
  ): Promise<RunHandle[]> {
    return await batchTrigger(await taskById(id), items)
  },

  /** Every task of the registry. */
  async list(): Promise<AnyTask[]> {
    return (await defaultPlatform().registry()).list()
  },
}

async function taskById(id: string): Promise<AnyTask> {
  return (await defaultPlatform().registry()).get(id)
}

export const runs: Runs = createRuns(
  () => defaultPlatform().ready(),
  () => defaultPlatform().dispatcher,
  () => defaultPlatform().bulk,
)

/** Replaying and cancelling many runs: preview, confirm, watch, stop. */
export const bulkActions: BulkActions = {
  previewReplay: (...args) => defaultPlatform().bulk.previewReplay(...args),
  previewCancel: (...args) => defaultPlatform().bulk.previewCancel(...args),
  confirm: (...args) => defaultPlatform().bulk.confirm(...args),
  stop: (...args) => defaultPlatform().bulk.stop(...args),
  get: (...args) => defaultPlatform().bulk.get(...args),
  list: (...args) => defaultPlatform().bulk.list(...args),
  runs: (...args) => defaultPlatform().bulk.runs(...args),
  results: (...args) => defaultPlatform().bulk.results(...args),
}

/** Who did what, and why. */
export const audit: AuditLog = {
  list: (...args) => defaultPlatform().audit.list(...args),
  record: (...args) => defaultPlatform().audit.record(...args),
}

/** What runs tasks by itself, for all tenants and for each. */
export const schedules: Schedules = {
  list: (...args) => defaultPlatform().schedules.list(...args),
  set: (...args) => defaultPlatform().schedules.set(...args),
  reset: (...args) => defaultPlatform().schedules.reset(...args),
  pause: (...args) => defaultPlatform().schedules.pause(...args),
  resume: (...args) => defaultPlatform().schedules.resume(...args),
  run: (...args) => defaultPlatform().schedules.run(...args),
}

export const failures: Failures = createFailures(() => defaultPlatform().ready())

/** Runs tasks in this process until it is stopped. */
export async function startWorker(options?: WorkerOptions): Promise<Worker> {
  return await defaultPlatform().startWorker(options)
}
