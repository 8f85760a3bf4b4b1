/**
 * The functions an app imports, bound to the default platform: made at first use from the environment, replaced by
 * `configure`, ended by `close`. Inside a `withTenant` or a run of another platform they stay with that one.
 */
import { currentScope, type Scope } from './db/scope.ts'
import { createSqlTag, type SqlTag } from './db/statement.ts'
import type { Worker } from './engines/engine.ts'
import type { WorkerOptions } from './engines/worker-options.ts'
import { Platform, type PlatformOptions } from './platform.ts'
import { createRuns, type Runs } from './runs/runs.ts'
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
import { resumeTenant as resume, suspendTenant as suspend } from './tenants/suspend.ts'
import type { Tenant } from './tenants/tenant.ts'

let platform: Platform | null = null

export function defaultPlatform(): Platform {
  platform ??= new Platform()
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
  await remove(await tenants(), slug, options)
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

export const runs: Runs = createRuns(() => defaultPlatform().ready())

/** Runs tasks in this process until it is stopped. */
export async function startWorker(options?: WorkerOptions): Promise<Worker> {
  return await defaultPlatform().startWorker(options)
}
