/** What an app imports from `@cgk-platform/jobs`. Importing connects to nothing. */

export type { SqlResult } from './db/statement.ts'
// ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────
// ── database and tenants ────────────────────────────────────────────────────────────────────────────────────
// ── platform ────────────────────────────────────────────────────────────────────────────────────────────────
export {
  close,
  configure,
  createTenant,
  createTenantSchema,
  currentTenant,
  deleteTenant,
  listTenants,
  resumeTenant,
  runs,
  runTenantMigrations,
  sql,
  startWorker,
  suspendTenant,
  tasks,
  transaction,
  withTenant,
} from './default-platform.ts'
export type { RunFilter, RunPage, Worker } from './engines/engine.ts'
export * from './errors.ts'
export type { PlatformOptions, WorkerOptions } from './platform.ts'
export type { TaskContext } from './task/context.ts'
export type { AnyTask, Task, TaskOptions } from './task/define.ts'
// ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────
export { defineTask } from './task/define.ts'
export type { TriggerOptions } from './task/options.ts'
export { tenantId, tenantPayload } from './task/payload.ts'
export type { PayloadOf, Register, TaskId } from './task/registry.ts'
export type { Attempt, Run, RunHandle, RunResult, RunState } from './task/run.ts'
export { snooze } from './task/snooze.ts'
export type { BatchItem, WaitOptions } from './task/trigger.ts'
export type { Tenant } from './tenants/tenant.ts'
