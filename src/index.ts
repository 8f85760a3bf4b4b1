/** What an app imports from `@cgk-platform/jobs`. Importing connects to nothing. */

// ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────
export { tasks } from './default-platform.ts'
export type { TaskContext } from './task/context.ts'
export { type AnyTask, defineTask, type Task, type TaskOptions } from './task/define.ts'
export type { NewStart, TriggerOptions } from './task/options.ts'
export { tenantId, tenantPayload } from './task/payload.ts'
export type { PayloadOf, Register, TaskId } from './task/registry.ts'
export { snooze } from './task/snooze.ts'
export type { BatchItem, WaitOptions } from './task/trigger.ts'

// ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────
export { audit, bulkActions, failures, runs } from './default-platform.ts'
export type { RunFilter, RunPage } from './engines/engine.ts'
export type { Actor, AuditEntry, AuditFilter, AuditLog, AuditRecord } from './audit/audit.ts'
export type { ActionRun, BulkAction, Edit, Selection } from './runs/bulk/action.ts'
export type { BulkActions } from './runs/bulk/bulk.ts'
export type { Preview } from './runs/bulk/preview.ts'
export type { ReplayOptions } from './runs/replay.ts'
export type { RunError } from './task/json.ts'
export type { FollowLogsOptions, ReadLogsOptions } from './runs/journal/logs.ts'
export type { RunProgress } from './runs/journal/progress.ts'
export type { RunLogLine, RunLogPage } from './runs/journal/read-lines.ts'
export type { Attempt, Run, RunHandle, RunResult, RunState, TriggeredBy } from './task/run.ts'
export type { CountFilter, RunCount } from './runs/counts.ts'
export type { FailureState } from './runs/failure-marks.ts'
export type { FailureFilter, FailureGroup, FailureOf, FailurePage } from './runs/failures.ts'

// ── schedules ───────────────────────────────────────────────────────────────────────────────────────────────
export { schedules } from './default-platform.ts'
export type { ListedSchedule, NextTime } from './schedules/list.ts'
export type { Schedules } from './schedules/schedules.ts'
export type { ScheduleSettings } from './schedules/settings.ts'
export type { TaskSchedule } from './task/schedule.ts'

// ── database ────────────────────────────────────────────────────────────────────────────────────────────────
export type { SqlResult } from './db/statement.ts'
export { currentTenant, sql, transaction, withTenant } from './default-platform.ts'

// ── tenants ─────────────────────────────────────────────────────────────────────────────────────────────────
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

// ── credentials and services ────────────────────────────────────────────────────────────────────────────────
export type { CredentialInfo } from './credentials/store.ts'
export {
  decryptCredential,
  deleteCredential,
  encryptCredential,
  getTenantAnthropicClient,
  getTenantAssemblyAIClient,
  getTenantMuxClient,
  getTenantResendClient,
  getTenantShopifyClient,
  getTenantStripeClient,
  getTenantWiseClient,
  listCredentials,
  requireTenantAnthropicClient,
  requireTenantAssemblyAIClient,
  requireTenantMuxClient,
  requireTenantResendClient,
  requireTenantShopifyClient,
  requireTenantStripeClient,
  requireTenantWiseClient,
  setCredential,
  verifyCredential,
} from './default-platform.ts'
export { currencyDigits } from './services/currency.ts'
export type { ServiceFailure } from './services/failure.ts'
export { readServiceError, type ServiceClients, type ServiceName } from './services/registry.ts'
export type { WebhookEvent } from './services/service.ts'
export type { CredentialCheck } from './services/verify.ts'
export type { TaskWebhook } from './task/webhook.ts'

// ── people and keys ─────────────────────────────────────────────────────────────────────────────────────────
export type { TenantContext } from './auth/authenticate.ts'
export type { TenantAccess, UserTenant } from './auth/memberships.ts'
export { can, type Permission, type TenantRole } from './auth/permissions.ts'
export type { KeyPrincipal, Membership, Principal, UserPrincipal } from './auth/principal.ts'
export {
  getTenantContext,
  getUserTenants,
  requireAuth,
  switchTenant,
  validateTenantAccess,
} from './default-platform.ts'
// ── cache ───────────────────────────────────────────────────────────────────────────────────────────────────
export { type CacheKeyPart, getCacheKey } from './cache/key.ts'
export type { SetOptions, TenantCache } from './cache/tenant-cache.ts'
export { createTenantCache } from './default-platform.ts'

// ── platform ────────────────────────────────────────────────────────────────────────────────────────────────
export { close, configure, startWorker } from './default-platform.ts'
export type { SettledEvent, Worker } from './engines/engine.ts'
export type { WorkerOptions } from './engines/worker-options.ts'
export * from './errors.ts'
export type { PlatformOptions } from './platform.ts'
