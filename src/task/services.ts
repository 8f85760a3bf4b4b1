/**
 * A run and the services it uses: its clients before it starts, and what an error that came out of one means for it and
 * for all other runs of its tenant.
 */
import {
  CredentialRefusedError,
  JobsError,
  RateLimitedError,
  ServiceClientClosedError,
  ServiceHeldError,
  ServiceNotConfiguredError,
} from '../errors.ts'
import type { Holds } from '../holds/holds.ts'
import { redact } from '../redact.ts'
import type { TenantClients } from '../services/clients.ts'
import type { ServiceFailure } from '../services/failure.ts'
import { readServiceError, type ServiceClients, type ServiceName } from '../services/registry.ts'
import { failedNow, held, type Outcome, postponed } from './outcome.ts'

/** What runs need of the platform for their services. */
export interface ServiceAccess {
  clients: TenantClients
  holds: Holds
}

/** The services of one run. */
export class RunServices {
  readonly #access: ServiceAccess
  readonly #tenantId: string
  /** The credentials that the run works with: what a provider says of them says nothing about later ones. */
  readonly #versions = new Map<string, string>()

  constructor(access: ServiceAccess, tenantId: string) {
    this.#access = access
    this.#tenantId = tenantId
  }

  /** @throws ServiceHeldError, ServiceNotConfiguredError: the run waits. */
  async open(names: readonly ServiceName[]): Promise<Partial<ServiceClients>> {
    const opened: Record<string, unknown> = {}
    for (const name of names) {
      await this.#access.holds.gate.pass(this.#tenantId, name)
      const { client, version, missing } = await this.#access.clients.find(this.#tenantId, name)
      this.#versions.set(name, version)
      if (missing) throw new ServiceNotConfiguredError(this.#tenantId, name, missing)
      opened[name] = client
    }
    return opened
  }

  /** Null: the error has nothing to do with a service, or the run's own retry rule is right for it. */
  async readOutcome(thrown: unknown): Promise<Outcome | null> {
    const own = ownErrorIn(thrown)
    if (own instanceof ServiceClientClosedError) return postponed(0, own)
    if (own instanceof ServiceHeldError) return held(own.service, own.until, own)
    if (own instanceof ServiceNotConfiguredError) {
      const { code, message } = own
      return await this.#hold(
        own.service,
        { reason: 'not_configured', code, message, endsAfterMs: null },
        own,
      )
    }
    // The task has decided itself what happens.
    if (thrown instanceof JobsError) return null
    const failure = failureIn(thrown)
    return failure && (await this.#readFailure(failure, thrown))
  }

  async #readFailure(
    { service, code, ...failure }: ServiceFailure & { service: ServiceName },
    thrown: unknown,
  ): Promise<Outcome | null> {
    const message = redact(failure.message)
    switch (failure.kind) {
      case 'refused': {
        const error = new CredentialRefusedError(this.#tenantId, service, `${code}: ${message}`)
        return await this.#hold(service, { reason: 'refused', code, message, endsAfterMs: null }, error)
      }
      case 'limited': {
        const { retryAfterMs } = failure
        const error = new RateLimitedError(`${service} asks to wait: ${message}`, retryAfterMs)
        const hold = { reason: 'rate_limited', code, message, endsAfterMs: retryAfterMs } as const
        return await this.#hold(service, hold, error)
      }
      case 'permanent':
        return failedNow(thrown, code)
      case 'transient':
        return null
    }
  }

  async #hold(
    service: string,
    hold: Pick<Parameters<Holds['place']>[0], 'reason' | 'code' | 'message' | 'endsAfterMs'>,
    error: Error,
  ): Promise<Outcome> {
    const { clients, holds } = this.#access
    const tenantId = this.#tenantId
    const credentialVersion =
      this.#versions.get(service) ?? (await clients.find(tenantId, service as ServiceName)).version
    const until = await holds.place({ tenantId, service, ...hold, credentialVersion })
    // Replaced meanwhile: the run tries again with the new one.
    if (until !== undefined) return held(service, until, error)
    clients.invalidate(tenantId, service)
    return postponed(0, error)
  }
}

/** How deep an SDK or a task may have wrapped what was thrown. */
const deepest = 5

type OwnError = ServiceClientClosedError | ServiceHeldError | ServiceNotConfiguredError

/** An error of the wire comes out of an SDK as the cause of one of its own. */
function ownErrorIn(thrown: unknown): OwnError | null {
  return thrown instanceof JobsError ? asOwnError(thrown) : firstOf(thrown, asOwnError)
}

function asOwnError(error: unknown): OwnError | null {
  const isOwn =
    error instanceof ServiceClientClosedError ||
    error instanceof ServiceHeldError ||
    error instanceof ServiceNotConfiguredError
  return isOwn ? error : null
}

function failureIn(thrown: unknown): ReturnType<typeof readServiceError> {
  return firstOf(thrown, readServiceError)
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
