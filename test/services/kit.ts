/** What a service is tested with: its client on a real wire to a local server, and what its errors mean. */
import { expect } from 'vitest'
import type { ServiceFailure } from '../../src/services/failure.ts'
import type { Credentials, Service } from '../../src/services/service.ts'
import { Wire, type WireOptions } from '../../src/services/wire.ts'
import type { ProviderAnswer, ProviderServer } from '../fixtures/providers/server.ts'

export interface Subject<Client> {
  service: Service<Client>
  credentials: Credentials
  /** Of the test that runs: each has a server of its own. */
  server(): ProviderServer
  /** One request, of the kind that matters most. */
  call(client: Client): PromiseLike<unknown>
  /** Where a refused call could have done something all the same: that it has not. */
  expectNothingDone?(): void
}

export interface ConnectOptions extends Partial<Pick<WireOptions, 'timeoutMs' | 'pass'>> {
  baseUrl?: string
}

export function onWire<Client>({ service, credentials, server, call, expectNothingDone }: Subject<Client>) {
  const tenantId = 'rawdog'

  function connect(options: ConnectOptions = {}): { client: Client; wire: Wire } {
    const { timeoutMs = 5_000, pass = null, baseUrl = server().url } = options
    const wire = new Wire({ service: service.name, tenantId, timeoutMs, pass })
    const connection = { credentials, tenantId, baseUrl, timeoutMs, wire, webhookUrl: null }
    return { client: service.connect(connection), wire }
  }

  async function failure(work: PromiseLike<unknown>): Promise<ServiceFailure | null> {
    return service.readError(await errorOf(work))
  }

  /** What one call that is answered so comes to; there is one request, whatever the SDK thinks of the answer. */
  async function failureOf(answer: ProviderAnswer, timeoutMs = 5_000): Promise<ServiceFailure | null> {
    server().requests.length = 0
    server().answerNext(answer)
    const error = await errorOf(call(connect({ timeoutMs }).client))
    expect(server().requests).toHaveLength(1)
    expectNothingDone?.()
    for (const [key, { secret }] of Object.entries(service.keys)) {
      if (secret && credentials[key]) expect(String(error)).not.toContain(credentials[key])
    }
    return service.readError(error)
  }

  return { connect, failure, failureOf }
}

export async function errorOf(work: PromiseLike<unknown>): Promise<unknown> {
  return await Promise.resolve(work).then(
    () => expect.fail('It succeeded.'),
    (error: unknown) => error,
  )
}

/** What is below all layers that an SDK has put around it. */
export function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof Error && root.cause) root = root.cause
  return root
}
