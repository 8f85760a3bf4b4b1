/**
 * What every request of a client travels through, whatever its SDK: it does not leave while the service is held for
 * this tenant or when the client was replaced, it ends with the run that made it, and it ends when it takes too long.
 */
import { currentScope } from '../db/scope.ts'
import { ServiceClientClosedError } from '../errors.ts'
import { observeCall } from '../telemetry/call-span.ts'

export interface WireOptions {
  service: string
  tenantId: string
  timeoutMs: number
  /** Throws while requests to this service must wait; null lets everything through (verification). */
  pass: (() => void | Promise<void>) | null
}

export class Wire {
  /** For SDKs that take one. */
  readonly fetch: typeof fetch
  readonly #options: WireOptions
  #closed = false

  constructor(options: WireOptions) {
    this.#options = options
    this.fetch = (input, init) => {
      const url = input instanceof Request ? input.url : input
      return this.send(url, init ?? {}, (ready) => globalThis.fetch(input, ready))
    }
  }

  /**
   * For SDKs that insist on the global `fetch`: calls `send` with the signal that the request has to heed. Of `url` only
   * the host is told.
   */
  async send(
    url: string | URL,
    init: RequestInit,
    send: (init: RequestInit) => Promise<Response>,
  ): Promise<Response> {
    const { service, tenantId, timeoutMs, pass } = this.#options
    await pass?.()
    if (this.#closed) throw new ServiceClientClosedError(tenantId, service)
    const signals = [init.signal, currentScope()?.signal, AbortSignal.timeout(timeoutMs)]
    const signal = AbortSignal.any(signals.filter((one) => one != null))
    signal.throwIfAborted()
    const call = { service, tenantId, method: init.method ?? 'GET', url }
    return await observeCall(call, () => send({ ...init, signal }))
  }

  /** The credential was replaced: what is under way may end, nothing new leaves. */
  close(): void {
    this.#closed = true
  }
}
