/** What an app imports from `@cgk-platform/jobs`. Importing connects to nothing. */

// ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────
export { defineTask } from './task/define.ts'
export type { AnyTask, Task, TaskOptions } from './task/define.ts'
export { tenantId, tenantPayload } from './task/payload.ts'
export { snooze } from './task/snooze.ts'
export { tasks } from './default-platform.ts'
export type { TaskContext } from './task/context.ts'
export type { TriggerOptions } from './task/options.ts'
export type { BatchItem, WaitOptions } from './task/trigger.ts'
export type { PayloadOf, Register, TaskId } from './task/registry.ts'

// ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────
export { runs } from './default-platform.ts'
export type { Attempt, Run, RunHandle, RunResult, RunState } from './task/run.ts'
export type { RunFilter, RunPage } from './engines/engine.ts'

// ── database and tenants ────────────────────────────────────────────────────────────────────────────────────
export { currentTenant, sql, transaction, withTenant } from './default-platform.ts'
export type { SqlResult } from './db/statement.ts'
export {
  createTenant,
  createTenantSchema,
  deleteTenant,
  listTenants,
  resumeTenant,
  runTenantMigrations,
  suspendTenant,
} from './default-platform.ts'
export type { Tenant } from './tenants/tenant.ts'

// ── platform ────────────────────────────────────────────────────────────────────────────────────────────────
export { close, configure, startWorker } from './default-platform.ts'
export type { PlatformOptions, WorkerOptions } from './platform.ts'
export type { Worker } from './engines/engine.ts'

export * from './errors.ts'
