/**
 * Every error the platform throws on purpose. `code` is stable and safe to branch on, `name` is the class name,
 * and the message says what to do. No message carries a payload, a secret or SQL parameters.
 *
 * What an engine does with a thrown error is decided in one place: `task/outcome.ts`.
 */
export abstract class JobsError extends Error {
  abstract readonly code: string

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
  }
}

// ── configuration and database ──────────────────────────────────────────────────────────────────────────────

/** An environment variable or option has a value the platform cannot use. */
export class ConfigError extends JobsError {
  readonly code = 'CONFIG_INVALID'
}

/** The embedded Postgres could not be started, joined or stopped. */
export class EmbeddedPostgresError extends JobsError {
  readonly code = 'EMBEDDED_POSTGRES_FAILED'
}

/** The database lacks something the platform needs: a version, a right, a reachable server. */
export class DatabaseSetupError extends JobsError {
  readonly code = 'DATABASE_SETUP_INVALID'
}

/** A migration file is missing, misnumbered, changed after it was applied, or failed to apply. */
export class MigrationError extends JobsError {
  readonly code = 'MIGRATION_FAILED'
}

// ── tenants and their contexts ──────────────────────────────────────────────────────────────────────────────

export class InvalidTenantSlugError extends JobsError {
  readonly code = 'TENANT_SLUG_INVALID'

  constructor(slug: unknown) {
    super(
      `${describeText(slug)} is not a tenant slug. Use 1 to 48 characters: a lower-case letter, then lower-case letters, digits or underscores (for example my_brand).`,
    )
  }
}

/** What people are to call a tenant is no text, too long, or has characters that nobody can read. */
export class InvalidTenantNameError extends JobsError {
  readonly code = 'TENANT_NAME_INVALID'

  constructor() {
    super('A tenant is named by a text of at most 200 characters, without control characters.')
  }
}

export class UnknownTenantError extends JobsError {
  readonly code = 'TENANT_UNKNOWN'
  readonly tenantId: string

  constructor(tenantId: string, options?: ErrorOptions) {
    super(`There is no tenant "${tenantId}". Create it with: cgk tenant:create ${tenantId}`, options)
    this.tenantId = tenantId
  }
}

export class TenantSuspendedError extends JobsError {
  readonly code = 'TENANT_SUSPENDED'
  readonly tenantId: string

  constructor(tenantId: string) {
    super(`Tenant "${tenantId}" is suspended. Resume it with: cgk tenant:resume ${tenantId}`)
    this.tenantId = tenantId
  }
}

export class TenantExistsError extends JobsError {
  readonly code = 'TENANT_EXISTS'
  readonly tenantId: string

  constructor(tenantId: string, options?: ErrorOptions) {
    super(
      `Tenant "${tenantId}" exists already. Choose another slug, or use the tenant that is there.`,
      options,
    )
    this.tenantId = tenantId
  }
}

/** A tenant still has open runs, so deleting it would lose work. */
export class TenantHasOpenRunsError extends JobsError {
  readonly code = 'TENANT_HAS_OPEN_RUNS'

  constructor(tenantId: string, open: number) {
    super(
      `Tenant "${tenantId}" has ${open} open ${open === 1 ? 'run' : 'runs'}. Wait for them, cancel them, or delete with force.`,
    )
  }
}

export class MissingTenantContextError extends JobsError {
  readonly code = 'TENANT_CONTEXT_MISSING'

  constructor(what: string, options?: ErrorOptions) {
    super(
      `${what} needs a tenant. Call it inside withTenant(tenantId, fn); platform tables are named with their schema (public.organizations).`,
      options,
    )
  }
}

/** The `withTenant` or `transaction` callback this call belongs to has already ended. */
export class ContextEndedError extends JobsError {
  readonly code = 'TENANT_CONTEXT_ENDED'

  constructor(what: string) {
    super(
      `${what} was called after its withTenant or transaction callback had ended. Await every statement before the callback returns.`,
    )
  }
}

/** `withTenant` of another tenant was called inside an open `transaction()`. */
export class CrossTenantTransactionError extends JobsError {
  readonly code = 'TENANT_TRANSACTION_CROSSED'

  constructor(tenantId: string) {
    super(
      `withTenant("${tenantId}") was called inside an open transaction of another context. One transaction belongs to one tenant: finish it first.`,
    )
  }
}

/** A statement failed inside `transaction()` and its error was swallowed: Postgres rolled everything back. */
export class TransactionRolledBackError extends JobsError {
  readonly code = 'TRANSACTION_ROLLED_BACK'

  constructor(options: ErrorOptions) {
    super(
      'The transaction was rolled back because a statement in it had failed (see cause). Let the error through, or put the statement in a nested transaction() of its own.',
      options,
    )
  }
}

/** A statement would change the connection or the transaction behind the platform's back. */
export class ForbiddenStatementError extends JobsError {
  readonly code = 'STATEMENT_FORBIDDEN'

  constructor(keyword: string) {
    super(
      `${keyword} is not allowed through sql: it would outlive the statement or leave the tenant. Use transaction(fn) for transactions; roles and search_path belong to the platform.`,
    )
  }
}

/** A value interpolated into `sql` cannot travel as a parameter. */
export class InvalidSqlValueError extends JobsError {
  readonly code = 'SQL_VALUE_INVALID'
}

// ── tasks and runs ──────────────────────────────────────────────────────────────────────────────────────────

export class InvalidTaskError extends JobsError {
  readonly code = 'TASK_INVALID'
}

export class UnknownTaskError extends JobsError {
  readonly code = 'TASK_UNKNOWN'

  constructor(taskId: string) {
    super(`There is no task "${taskId}" in the registry. Add it to tasks/index.ts, or check the id.`)
  }
}

/** One place in a payload that its schema refused: zod's path and message, never the value. */
export interface PayloadIssue {
  path: string
  message: string
}

export class InvalidPayloadError extends JobsError {
  readonly code = 'PAYLOAD_INVALID'
  readonly taskId: string
  readonly issues: readonly PayloadIssue[]

  constructor(taskId: string, issues: readonly PayloadIssue[]) {
    const list = issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ')
    super(`The payload of ${taskId} is not valid: ${list}`)
    this.taskId = taskId
    this.issues = issues
  }
}

/** A task was triggered for another tenant than the one whose context it was triggered in. */
export class TenantMismatchError extends JobsError {
  readonly code = 'TENANT_MISMATCH'

  constructor(surrounding: string, given: string) {
    super(
      `A run for tenant "${given}" was triggered inside withTenant("${surrounding}"). Trigger it outside, or for the same tenant.`,
    )
  }
}

/** An option of a trigger, or of waiting for its run, that the platform does not know or cannot use. */
export class InvalidTriggerOptionsError extends JobsError {
  readonly code = 'TRIGGER_OPTIONS_INVALID'
}

/** Thrown by a task that knows that no retry will help: the run fails now. */
export class AbortTaskError extends JobsError {
  readonly code: string = 'TASK_ABORTED'
}

/** A provider asked to wait. The run comes back after `retryAfterMs` (milliseconds); no attempt is spent. */
export class RateLimitedError extends JobsError {
  readonly code = 'RATE_LIMITED'
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterMs = retryAfterMs
  }
}

/** Thrown by `snooze`: the run comes back after `delayMs` (milliseconds); no attempt is spent. */
export class SnoozeError extends JobsError {
  readonly code = 'SNOOZED'
  readonly delayMs: number

  constructor(delayMs: number) {
    super(`Come back in ${delayMs} ms.`)
    this.delayMs = delayMs
  }
}

/** The run took longer than the task's `timeout`. */
export class RunTimeoutError extends JobsError {
  readonly code = 'RUN_TIMEOUT'

  constructor(timeoutMs: number) {
    super(`The run took longer than its timeout of ${timeoutMs} ms.`)
  }
}

/** The run was cancelled while it was running. */
export class RunCancelledError extends JobsError {
  readonly code = 'RUN_CANCELLED'

  constructor() {
    super('The run was cancelled.')
  }
}

/** This worker no longer owns the run: it was silent for too long and another worker has it. */
export class RunLostError extends JobsError {
  readonly code = 'RUN_LOST'

  constructor() {
    super('This worker lost the run: its heartbeat came too late, and the run was given to another worker.')
  }
}

/** The worker is stopping and its deadline has passed: the run is handed back, no attempt is spent. */
export class WorkerStoppingError extends JobsError {
  readonly code = 'WORKER_STOPPING'

  constructor() {
    super('The worker is stopping; the run is handed back to the queue.')
  }
}

/** A filter or a page cursor for runs that cannot be used. */
export class InvalidRunFilterError extends JobsError {
  readonly code = 'RUN_FILTER_INVALID'
}

export class UnknownRunError extends JobsError {
  readonly code = 'RUN_UNKNOWN'

  constructor(runId: string) {
    super(`There is no run "${runId}". It may have been deleted after its retention time.`)
  }
}

export class UnknownFailureGroupError extends JobsError {
  readonly code = 'FAILURE_GROUP_UNKNOWN'

  constructor(fingerprint: string) {
    super(`There is no failure group ${describeText(fingerprint)}. List them with: cgk failure:list`)
  }
}

/** `triggerAndWait` or `runs.wait` gave up waiting. The run itself goes on. */
export class WaitTimeoutError extends JobsError {
  readonly code = 'WAIT_TIMEOUT'

  constructor(runId: string, timeoutMs: number) {
    super(
      `Run ${runId} was not finished after ${timeoutMs} ms. It goes on; look at it with: cgk run:show ${runId}`,
    )
  }
}

// ── Trigger.dev ─────────────────────────────────────────────────────────────────────────────────────────────

/** Trigger.dev takes neither this request nor the same one again: its key, an option or a payload must change. */
export class TriggerRefusedError extends JobsError {
  readonly code = 'TRIGGER_REFUSED'
  /** The HTTP status it answered. */
  readonly status: number

  constructor(what: string, status: number, reason: string) {
    super(`Trigger.dev refused ${what} (HTTP ${status}): ${reason}`)
    this.status = status
  }
}

/**
 * Trigger.dev did not answer, not in time, or nothing that can be read, after all tries. What was to be triggered may
 * have been: trigger it again with the same idempotency key.
 */
export class TriggerUnavailableError extends JobsError {
  readonly code = 'TRIGGER_UNAVAILABLE'

  constructor(what: string, reason: string) {
    super(`Trigger.dev could not be reached ${what}: ${reason}. Check TRIGGER_API_URL, or try again later.`)
  }
}

// ── services and credentials ────────────────────────────────────────────────────────────────────────────────

export class UnknownServiceError extends JobsError {
  readonly code = 'SERVICE_UNKNOWN'

  constructor(service: unknown, known: readonly string[]) {
    super(`${describeText(service)} is no service of this platform. There are: ${known.join(', ')}.`)
  }
}

/** The tenant lacks a credential that the service's client needs. Runs that need it wait until it is set. */
export class ServiceNotConfiguredError extends JobsError {
  readonly code = 'SERVICE_NOT_CONFIGURED'
  readonly tenantId: string
  readonly service: string
  readonly missing: readonly string[]

  constructor(tenantId: string, service: string, missing: readonly string[]) {
    super(
      `Tenant "${tenantId}" has no ${missing.join(', ')} for ${service}. Set it with: cgk credential:set ${tenantId} ${service} ${missing[0] ?? ''}`.trim(),
    )
    this.tenantId = tenantId
    this.service = service
    this.missing = missing
  }
}

/** The provider does not take the tenant's credential. Runs that need it wait until it is replaced or verified. */
export class CredentialRefusedError extends JobsError {
  readonly code = 'CREDENTIAL_REFUSED'

  constructor(tenantId: string, service: string, problem: string) {
    super(
      `${service} refuses the credential of tenant "${tenantId}" (${problem}). Replace it with: cgk credential:set ${tenantId} ${service}`,
    )
  }
}

/** Runs of this tenant that need this service wait; no request may leave meanwhile. */
export class ServiceHeldError extends JobsError {
  readonly code = 'SERVICE_HELD'
  readonly tenantId: string
  readonly service: string
  /** When the hold ends by itself; null: when the credential is replaced or verified. */
  readonly until: Date | null

  constructor(tenantId: string, service: string, until: Date | null) {
    const end = until
      ? `until ${until.toISOString()}`
      : `until its credential is replaced or verified (cgk credential:set, cgk credential:verify)`
    super(`${service} is held for tenant "${tenantId}" ${end}.`)
    this.tenantId = tenantId
    this.service = service
    this.until = until
  }
}

/** The client was made from a credential that has been replaced since. */
export class ServiceClientClosedError extends JobsError {
  readonly code = 'SERVICE_CLIENT_CLOSED'
  readonly tenantId: string
  readonly service: string

  constructor(tenantId: string, service: string) {
    super(
      `The credential of tenant "${tenantId}" for ${service} was replaced, and this client is still the one before. Ask for the client anew instead of keeping it.`,
    )
    this.tenantId = tenantId
    this.service = service
  }
}

/** A credential cannot be stored: the service has no such key, or the value cannot be right. */
export class InvalidCredentialError extends JobsError {
  readonly code = 'CREDENTIAL_INVALID'
}

/** A stored credential cannot be decrypted: cut off, changed, copied from elsewhere, or its key is gone. */
export class CredentialError extends JobsError {
  readonly code = 'CREDENTIAL_UNREADABLE'
}

/** Credentials are encrypted, and this process has no key for it. */
export class EncryptionKeyMissingError extends JobsError {
  readonly code = 'ENCRYPTION_KEY_MISSING'

  constructor(variable: string) {
    super(`Credentials cannot be read or stored without ${variable}. Make a key with: cgk credential:key`)
  }
}

/** A value from outside, as a message may name it. */
function describeText(value: unknown): string {
  if (typeof value !== 'string') return `A value of type ${value === null ? 'null' : typeof value}`
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
}
