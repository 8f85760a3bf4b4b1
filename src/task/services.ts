/**
 * A run and the services it uses: its clients before it starts, and what an error that came out of one means for it and
 * for all other runs of its tenant.
 */
import {
  CredentialError,
  CredentialRefusedError,
  EncryptionKeyMissingError,
  JobsError,
  RateLimitedError,
  ServiceClientClosedError,
  ServiceHeldError,
  ServiceNotConfiguredError,
} from '../errors.ts'
import type { Holds } from '../holds/holds.ts'
import type { HoldRequest } from '../holds/place.ts'
import type { Lookup, TenantClients } from '../services/clients.ts'
import type { ServiceFailure } from '../services/failure.ts'
import { readServiceError, type ServiceClients, type ServiceName } from '../services/registry.ts'
import { failedNow, held, type Outcome, postponed } from './outcome.ts'

/** What runs need of the platform for their services. */
export interface ServiceAccess {
  clients: TenantClients
  holds: Holds
}

/** By service. */
export type CredentialVersions = Readonly<Record<string, string>>

/** The services of one run. */
export class RunServices {
  readonly #access: ServiceAccess
  readonly #tenantId: string
  /** The credentials that the run works with: what a provider says of them says nothing about later ones. */
  readonly #versions = new Map<string, string>()
  /** Services of which the run has another tenant's client: whose error it is cannot be told. */
  readonly #foreign = new Set<string>()
  #begun = false

  constructor(access: ServiceAccess, tenantId: string) {
    this.#access = access
    this.#tenantId = tenantId
  }

  /** Of every service that the run has a client of its own tenant for. */
  get versions(): CredentialVersions {
    return Object.fromEntries(this.#versions)
  }

  /** Clients for its start. @throws ServiceHeldError, ServiceNotConfiguredError: the run waits. */
  async open(names: readonly ServiceName[]): Promise<Partial<ServiceClients>> {
    const opened: Record<string, unknown> = {}
    for (const name of names) {
      await this.#access.holds.gate.pass(this.#tenantId, name)
      const { client, missing } = await this.find(this.#tenantId, name)
      if (missing) throw new ServiceNotConfiguredError(this.#tenantId, name, missing)
      opened[name] = client
    }
    this.#begun = true
    return opened
  }

  /** What its code asks for on the way, and what `open` asks. */
  async find(tenantId: string, name: ServiceName): Promise<Lookup> {
    const found = await this.#access.clients.find(tenantId, name)
    if (tenantId !== this.#tenantId) this.#foreign.add(name)
    else if (!this.#versions.has(name)) this.#versions.set(name, found.version)
    return found
  }

  /** Null: the error has nothing to do with a service, or the run's own retry rule is right for it. */
  async readOutcome(thrown: unknown): Promise<Outcome | null> {
    const { own, failure } = lookInto(thrown)
    if (own) return await this.#readOwn(own)
    return failure && (await this.#readFailure(failure, thrown))
  }

  async #readOwn(own: OwnError): Promise<Outcome | null> {
    // A worker that lacks a key, or has the wrong one, must not use up the runs that others could do.
    if (own instanceof CredentialError || own instanceof EncryptionKeyMissingError) {
      return postponed(unreadableWaitMs, own)
    }
    if (own.tenantId !== this.#tenantId) return null
    if (own instanceof ServiceClientClosedError) return postponed(0, own)
    if (own instanceof ServiceHeldError) return held(own.service, own.until, own, this.#begun)
    const { service, code, message } = own
    return await this.#hold(service, { reason: 'not_configured', code, message, endsAfterMs: null }, own)
  }

  async #readFailure(
    { service, ...failure }: ServiceFailure & { service: ServiceName },
    thrown: unknown,
  ): Promise<Outcome | null> {
    const { kind, code, message } = failure
    if (kind === 'permanent') return failedNow(thrown, code)
    if (kind === 'transient' || this.#foreign.has(service)) return null
    if (kind === 'refused') {
      const error = new CredentialRefusedError(this.#tenantId, service, `${code}: ${message}`)
      return await this.#hold(service, { reason: 'refused', code, message, endsAfterMs: null }, error)
    }
    const { retryAfterMs: endsAfterMs } = failure
    const error = new RateLimitedError(`${service} asks to wait: ${message}`, endsAfterMs)
    return await this.#hold(service, { reason: 'rate_limited', code, message, endsAfterMs }, error)
  }

  async #hold(
    service: string,
    hold: Pick<HoldRequest, 'reason' | 'code' | 'message' | 'endsAfterMs'>,
    error: Error,
  ): Promise<Outcome | null> {
    const credentialVersion = this.#versions.get(service)
    // A client that the run did not ask the platform for.
    if (credentialVersion === undefined) return null
    const { clients, holds } = this.#access
    const tenantId = this.#tenantId
    const until = await holds.place({ tenantId, service, ...hold, credentialVersion })
    if (until !== undefined) return held(service, until, error, this.#begun)
    // Replaced meanwhile: the run tries again with the new one.
    clients.invalidate(tenantId, service)
    return postponed(0, error)
  }
}

/** What is thrown may be a proxy, or have getters, that throw in their turn. Then it is no error of a service. */
function lookInto(thrown: unknown): {
  own: OwnError | null
  failure: ReturnType<typeof readServiceError>
} {
  try {
    const own = ownErrorIn(thrown)
    // Any other error of the platform is what the task has decided on, whatever caused it.
    const failure = own || thrown instanceof JobsError ? null : firstOf(thrown, readServiceError)
    return { own, failure }
  } catch {
    return { own: null, failure: null }
  }
}

const unreadableWaitMs = 30_000

/** How deep an SDK or a task may have wrapped what was thrown. */
const deepest = 5

type OwnError =
  | ServiceClientClosedError
  | ServiceHeldError
  | ServiceNotConfiguredError
  | CredentialError
  | EncryptionKeyMissingError

/** An error of the wire comes out of an SDK as the cause of one of its own. */
function ownErrorIn(thrown: unknown): OwnError | null {
  return thrown instanceof JobsError ? asOwnError(thrown) : firstOf(thrown, asOwnError)
}

function asOwnError(error: unknown): OwnError | null {
  const isOwn =
    error instanceof ServiceClientClosedError ||
    error instanceof ServiceHeldError ||
    error instanceof ServiceNotConfiguredError ||
    error instanceof CredentialError ||
    error instanceof EncryptionKeyMissingError
  return isOwn ? error : null
}

function firstOf<Found>(thrown: unknown, look: (error: unknown) => Found | null): Found | null {
  let error = thrown
  for (let depth = 0; depth < deepest && typeof error === 'object' && error !== null; depth += 1) {
    const found = look(error)
    if (found) return found
    error = causeOf(error)
  }
  return null
}

/** Stripe's SDK keeps it as `detail`, and what broke while an answer was read as the `exception` of that. */
function causeOf(error: object): unknown {
  if ('cause' in error && error.cause) return error.cause
  if ('exception' in error && error.exception) return error.exception
  return 'detail' in error ? error.detail : undefined
}
