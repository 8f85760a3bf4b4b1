/**
 * The span and the figures of one request to a provider: who, which method, what status, how long. Not where it went
 * below the host: paths hold ids, queries and headers hold secrets. And the provider is told nothing of our traces.
 */
import { type Attributes, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { serviceAttribute, tenantAttribute } from './attributes.ts'
import { record } from './instruments.ts'
import { failureOf, inSpan } from './span.ts'

export interface ServiceCall {
  service: string
  tenantId: string
  method: string
  url: string | URL
}

/** The time is that until the status is there; the body is still to be read. */
export async function observeCall(call: ServiceCall, send: () => Promise<Response>): Promise<Response> {
  const startedAt = performance.now()
  const told = (outcome: Attributes) =>
    record(({ callDuration }) =>
      callDuration.record((performance.now() - startedAt) / 1000, {
        [serviceAttribute]: call.service,
        ...outcome,
      }),
    )
  return await inSpan(
    `${call.method} ${call.service}`,
    { kind: SpanKind.CLIENT, attributes: attributesOf(call) },
    async (span) => {
      try {
        const response = await send()
        const outcome = outcomeOf(response.status)
        span.setAttributes(outcome)
        if (response.status >= 400) span.setStatus({ code: SpanStatusCode.ERROR })
        told(outcome)
        return response
      } catch (error) {
        const { code, name } = failureOf(error)
        told({ 'error.type': code ?? name })
        throw error
      }
    },
  )
}

function attributesOf({ service, tenantId, method, url }: ServiceCall): Attributes {
  const { hostname, port } = new URL(url)
  return {
    [serviceAttribute]: service,
    [tenantAttribute]: tenantId,
    'http.request.method': method,
    'server.address': hostname,
    ...(port && { 'server.port': Number(port) }),
  }
}

function outcomeOf(status: number): Attributes {
  return {
    'http.response.status_code': status,
    ...(status >= 400 && { 'error.type': String(status) }),
  }
}
