/**
 * Where a piece of code runs: in which tenant, in which transaction, until when.
 *
 * One AsyncLocalStorage carries it, so it follows every await and never mixes between concurrent callers. A scope
 * belongs to one `withTenant` or `transaction` callback and ends with it: what starts later is refused.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { ContextEndedError } from '../errors.ts'
import type { Database } from './database.ts'
import type { Transaction } from './transaction.ts'

/** What the database needs to know of a tenant. */
export interface TenantIdentity {
  readonly slug: string
  /** Of its row in public.organizations. */
  readonly organizationId: string
  readonly schema: string
  readonly role: string
}

export interface Scope {
  readonly database: Database
  /** Null: a platform transaction, outside every tenant. */
  readonly tenant: TenantIdentity | null
  readonly transaction: Transaction | null
  /** Aborted when the run it belongs to is cancelled, timed out or lost. */
  readonly signal: AbortSignal | null
  ended: boolean
}

const scopes = new AsyncLocalStorage<Scope>()

export function currentScope(): Scope | undefined {
  return scopes.getStore()
}

/** The current scope, if it may still start something. */
export function liveScope(what: string): Scope | undefined {
  const scope = scopes.getStore()
  if (scope?.ended) throw new ContextEndedError(what)
  scope?.signal?.throwIfAborted()
  return scope
}

/** Calls `fn` exactly once inside `scope`, and ends the scope with it. */
export async function enterScope<T>(scope: Scope, fn: () => T | PromiseLike<T>): Promise<T> {
  try {
    return await scopes.run(scope, async () => await fn())
  } finally {
    scope.ended = true
  }
}

/** Runs `fn` outside every scope: for work of the platform that a tenant's code happened to start. */
export function leaveScopes<T>(fn: () => T): T {
  return scopes.exit(fn)
}
