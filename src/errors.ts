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

/** What is for all tenants, or for none, was called in the context of one. */
export class InsideTenantError extends JobsError {
  readonly code = 'TENANT_CONTEXT_PRESENT'

  constructor(what: string, surrounding: string) {
    super(
      `${what} was called inside withTenant("${surrounding}"), and is for code outside of every tenant. Call it there.`,
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

/** Something was triggered or asked for of another tenant than the one in whose context that was done. */
export class TenantMismatchError extends JobsError {
  readonly code = 'TENANT_MISMATCH'

  /** `asked`: what was asked for, as in "Runs"; without it, a run was triggered. */
  constructor(surrounding: string, given: string, asked?: string) {
    super(
      asked === undefined
        ? `A run for tenant "${given}" was triggered inside withTenant("${surrounding}"). Trigger it outside, or for the same tenant.`
        : `${asked} of tenant "${given}" were asked for inside withTenant("${surrounding}"). Ask outside, or for the same tenant.`,
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

/** What `progress` was given is neither a share from 0 to 1, nor a count, nor a text. */
export class InvalidProgressError extends JobsError {
  readonly code = 'PROGRESS_INVALID'

  constructor(problem: string) {
    super(
      `${problem}. Tell progress a number from 0 to 1, { current, total, message? }, or a text: progress({ current: 3, total: 10 }).`,
    )
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

/** Only what has ended can be run once more. */
export class RunStillOpenError extends JobsError {
  readonly code = 'RUN_STILL_OPEN'

  constructor(runId: string, state: string) {
    super(`Run "${runId}" is ${state}. Wait until it has ended, or cancel it, and replay it then.`)
  }
}

/** A replay or a cancel of many runs was asked for in a way that cannot be done. */
export class InvalidBulkActionError extends JobsError {
  readonly code = 'BULK_ACTION_INVALID'
}

export class UnknownBulkActionError extends JobsError {
  readonly code = 'BULK_ACTION_UNKNOWN'

  constructor(id: string) {
    super(`There is no bulk action "${id}".`)
  }
}

/** `problem` completes "Bulk action X ...". */
export class BulkActionStateError extends JobsError {
  readonly code = 'BULK_ACTION_STATE'

  constructor(id: string, problem: string) {
    super(`Bulk action "${id}" ${problem}.`)
  }
}

/** A group of failures cannot be marked so. */
export class InvalidFailureMarkError extends JobsError {
  readonly code = 'FAILURE_MARK_INVALID'
}

export class UnknownFailureGroupError extends JobsError {
  readonly code = 'FAILURE_GROUP_UNKNOWN'

  constructor(fingerprint: string) {
    super(`There is no failure group ${describeText(fingerprint)}. List them with: cgk failure:list`)
  }
}

/** `triggerAndWait` or `runs.wait` gave up waiting. The run itself goes on. `cause`: why it could not be read at last. */
export class WaitTimeoutError extends JobsError {
  readonly code = 'WAIT_TIMEOUT'

  constructor(runId: string, timeoutMs: number, options?: ErrorOptions) {
    super(
      `Run ${runId} was not finished after ${timeoutMs} ms. It goes on; look at it with: cgk run:show ${runId}`,
      options,
    )
  }
}

// ── schedules ───────────────────────────────────────────────────────────────────────────────────────────────

export class UnknownScheduleError extends JobsError {
  readonly code = 'SCHEDULE_UNKNOWN'

  constructor(schedule: string, known: readonly string[]) {
    const there = known.length > 0 ? `There are: ${known.join(', ')}.` : 'Its task declares none.'
    super(`There is no schedule "${schedule}". ${there}`)
  }
}

/** The name, the cron text, the time zone or the payload of a schedule cannot be used. */
export class InvalidScheduleError extends JobsError {
  readonly code = 'SCHEDULE_INVALID'
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

// ── people and keys ─────────────────────────────────────────────────────────────────────────────────────────

/** Nobody has signed in, or the session or key is not valid (any more). Which of these, the message does not say. */
export class UnauthenticatedError extends JobsError {
  readonly code = 'UNAUTHENTICATED'

  constructor() {
    super('Sign in, or send a valid API key as "Authorization: Bearer cgk_live_...".')
  }
}

/** A session and a key, or something else than a key: whose right counts would be a guess. */
export class AmbiguousCredentialsError extends JobsError {
  readonly code = 'CREDENTIALS_AMBIGUOUS'

  constructor() {
    super('Send either the session cookie or "Authorization: Bearer cgk_live_...", and not both.')
  }
}

/** Wrong e-mail address, wrong password, disabled: the same to whoever guesses. */
export class LoginRefusedError extends JobsError {
  readonly code = 'LOGIN_REFUSED'

  constructor() {
    super('The e-mail address or the password is wrong.')
  }
}

/** Too many tries to sign in from this address or to this account, whether or not it exists. */
export class LoginLimitedError extends JobsError {
  readonly code = 'LOGIN_LIMITED'
  readonly retryAfterSeconds: number

  constructor(retryAfterSeconds: number) {
    super(`There were too many tries to sign in. Try again in ${retryAfterSeconds} seconds.`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** More passwords wait to be hashed than this process can do soon. */
export class PasswordsBusyError extends JobsError {
  readonly code = 'PASSWORDS_BUSY'
  readonly retryAfterSeconds = 5

  constructor() {
    super('Too many people are signing in right now. Try again in 5 seconds.')
  }
}

/** Signed in, but not allowed. The same whether what was asked for does not exist or is another tenant's. */
export class ForbiddenError extends JobsError {
  readonly code = 'FORBIDDEN'

  constructor(permission?: string) {
    super(
      permission === undefined
        ? 'You have no access to this tenant.'
        : `This needs the permission ${permission}, which you do not have here.`,
    )
  }
}

/** Another site may have made the browser send this. */
export class CrossSiteRequestError extends JobsError {
  readonly code = 'CSRF_REFUSED'

  constructor(why: string) {
    super(`The request is refused, for another site may have caused it: ${why}.`)
  }
}

export class NoTenantChosenError extends JobsError {
  readonly code = 'TENANT_NOT_CHOSEN'

  constructor() {
    super('No tenant is chosen. Choose one with switchTenant, or use a key that belongs to a tenant.')
  }
}

/** An e-mail address, a name or a permission that no account can have. */
export class InvalidAccountError extends JobsError {
  readonly code = 'ACCOUNT_INVALID'
}

export class InvalidPasswordError extends JobsError {
  readonly code = 'PASSWORD_INVALID'

  constructor({ min, max }: { min: number; max: number }) {
    super(`A password has ${min} to ${max} characters. Several words are easy to remember and hard to guess.`)
  }
}

export class UserExistsError extends JobsError {
  readonly code = 'USER_EXISTS'

  constructor(email: string, options?: ErrorOptions) {
    super(`There is a user ${email} already. List users with: cgk user:list`, options)
  }
}

export class UnknownUserError extends JobsError {
  readonly code = 'USER_UNKNOWN'

  constructor() {
    super('There is no such user here. List users with: cgk user:list')
  }
}

/** A tenant without an owner would be nobody's. */
export class LastOwnerError extends JobsError {
  readonly code = 'LAST_OWNER'

  constructor(tenantId: string) {
    super(`This is the last owner of tenant "${tenantId}". Make somebody else an owner first.`)
  }
}

/** A scope, a lifetime or a role that cannot be given. */
export class InvalidGrantError extends JobsError {
  readonly code = 'GRANT_INVALID'
}

export class UnknownApiKeyError extends JobsError {
  readonly code = 'API_KEY_UNKNOWN'

  constructor() {
    super('There is no such API key. List keys with: cgk key:list')
  }
}

/** Made up, accepted already, revoked, expired, or for another address: its holder is not told which. */
export class InvitationInvalidError extends JobsError {
  readonly code = 'INVITATION_INVALID'

  constructor() {
    super('This invitation is not valid for you. It may have been used or have expired: ask for a new one.')
  }
}

/** An account that is there is joined by who has signed in to it, and by nobody else who holds the token. */
export class SignInToAcceptError extends JobsError {
  readonly code = 'INVITATION_NEEDS_LOGIN'

  constructor() {
    super('Sign in with the account of the invited address, or choose a password if it has none yet.')
  }
}

/** The account was made with an invitation of another tenant, whose people may have used the link themselves. */
export class AddressUnconfirmedError extends JobsError {
  readonly code = 'ADDRESS_UNCONFIRMED'

  constructor() {
    super(
      'Nobody has confirmed that this account is of who has its address, and it was made for another tenant. It can join this one once an operator has made sure: cgk user:confirm EMAIL.',
    )
  }
}

// ── cache ───────────────────────────────────────────────────────────────────────────────────────────────────

/** A part of a key is neither a text nor a finite number. */
export class InvalidCacheKeyError extends JobsError {
  readonly code = 'CACHE_KEY_INVALID'

  constructor(part: unknown) {
    const what = typeof part === 'number' ? String(part) : describeText(part)
    super(`${what} cannot be a part of a cache key. Use texts and finite numbers.`)
  }
}

/** A value cannot be kept in a cache: it is no JSON, or too large. */
export class InvalidCacheValueError extends JobsError {
  readonly code = 'CACHE_VALUE_INVALID'

  constructor(problem: string) {
    super(
      `A cache keeps JSON, and ${problem}. Make it of plain objects, arrays, texts, finite numbers, booleans and null.`,
    )
  }
}

export class InvalidCacheTtlError extends JobsError {
  readonly code = 'CACHE_TTL_INVALID'

  constructor() {
    super(
      "An entry of a cache needs a time to live of at most 30 days: set(key, value, { ttl: '5m' }), or milliseconds.",
    )
  }
}

/** The store of the cache is away, or did not answer in time. `getOrSet` goes on without it. */
export class CacheUnavailableError extends JobsError {
  readonly code = 'CACHE_UNAVAILABLE'

  constructor(cause: Error) {
    super(
      `The cache does not answer (${cause.message}). Check REDIS_URL, or DATABASE_URL where it is not set; getOrSet(key, { ttl }, fn) goes on without a cache.`,
      { cause },
    )
  }
}

/** Code of one tenant asked for an entry of another. */
export class CacheTenantMismatchError extends JobsError {
  readonly code = 'CACHE_TENANT_MISMATCH'

  constructor(surrounding: string, given: string) {
    super(
      `The cache of tenant "${given}" was used inside withTenant("${surrounding}"). Use createTenantCache("${surrounding}") there.`,
    )
  }
}

/** A value from outside, as a message may name it. */
function describeText(value: unknown): string {
  if (typeof value !== 'string') return `A value of type ${value === null ? 'null' : typeof value}`
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
}
