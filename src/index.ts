/** What an app imports from `@cgk-platform/jobs`. Importing connects to nothing. */

// ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────
export { tasks } from './default-platform.ts'
export type { TaskContext } from './task/context.ts'
export { type AnyTask, defineTask, type Task, type TaskOptions } from './task/define.ts'
export type { TriggerOptions } from './task/options.ts'
export { tenantId, tenantPayload } from './task/payload.ts'
export type { PayloadOf, Register, TaskId } from './task/registry.ts'
export { snooze } from './task/snooze.ts'
export type { BatchItem, WaitOptions } from './task/trigger.ts'

// ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────
export { failures, runs } from './default-platform.ts'
export type { RunFilter, RunPage } from './engines/engine.ts'
export type { CountFilter, RunCount } from './runs/counts.ts'
export type { FailureFilter, FailureGroup, FailurePage, FailureState } from './runs/failures.ts'
export type { RunError } from './task/json.ts'
export type { Attempt, Run, RunHandle, RunResult, RunState, TriggeredBy } from './task/run.ts'

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

// ── platform ────────────────────────────────────────────────────────────────────────────────────────────────
export { close, configure, startWorker } from './default-platform.ts'
export type { SettledEvent, Worker } from './engines/engine.ts'
export type { WorkerOptions } from './engines/worker-options.ts'
export * from './errors.ts'
export type { PlatformOptions } from './platform.ts'
