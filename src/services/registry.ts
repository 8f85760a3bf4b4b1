/**
 * The services there are. Each is loaded at its first use: an SDK weighs megabytes, and most processes need few.
 *
 * To add one: its file, and its line here.
 */
import { UnknownServiceError } from '../errors.ts'
import type { ServiceFailure } from './failure.ts'
import type { Service } from './service.ts'

const loaders = {
  stripe: async () => (await import('./stripe.ts')).stripe,
  resend: async () => (await import('./resend.ts')).resend,
  mux: async () => (await import('./mux.ts')).mux,
  assemblyai: async () => (await import('./assemblyai.ts')).assemblyai,
  wise: async () => (await import('./wise.ts')).wise,
  anthropic: async () => (await import('./anthropic.ts')).anthropic,
  shopify: async () => (await import('./shopify.ts')).shopify,
}

export type ServiceName = keyof typeof loaders

/** The client of each service, as its SDK names its class. */
export type ServiceClients = {
  [Name in ServiceName]: Awaited<ReturnType<(typeof loaders)[Name]>> extends Service<infer Client>
    ? Client
    : never
}

export const serviceNames = Object.keys(loaders) as ServiceName[]

export function isServiceName(name: unknown): name is ServiceName {
  return typeof name === 'string' && Object.hasOwn(loaders, name)
}

const loaded = new Map<ServiceName, Service>()

/** @throws UnknownServiceError */
export async function loadService(name: string): Promise<Service> {
  if (!isServiceName(name)) throw new UnknownServiceError(name, serviceNames)
  const known = loaded.get(name)
  if (known) return known
  const service: Service = (await loaders[name]()) as Service
  loaded.set(name, service)
  return service
}

/**
 * What an error that came out of a client means, and whose it is; null when it is none of a service. Whoever has not
 * been loaded cannot have thrown it.
 */
export function readServiceError(error: unknown): (ServiceFailure & { service: ServiceName }) | null {
  for (const [service, { readError }] of loaded) {
    const failure = readError(error)
    if (failure) return { service, ...failure }
  }
  return null
}
