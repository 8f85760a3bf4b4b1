/**
 * A span around some work. The app brings OpenTelemetry's SDK; without one a span is an empty object, and nothing here
 * looks twice.
 */
import {
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  type SpanOptions,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { cleanText } from '../clean-text.ts'
import { scopeName } from './attributes.ts'

/** An error as far as it is told: its class, its code, and what it says without the secrets this process knows. */
export interface Failure {
  name: string
  code: string | null
  message: string
}

const longestMessage = 500

const tracer = trace.getTracer(scopeName)

/** What `work` throws is told and thrown on. */
export function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
  parent: Context = context.active(),
): Promise<T> {
  return tracer.startActiveSpan(name, options, parent, async (span) => {
    try {
      return await work(span)
    } catch (error) {
      tellFailure(span, failureOf(error))
      throw error
    } finally {
      span.end()
    }
  })
}

/** For work that belongs to no trace, wherever it is started from: a worker's. */
export function outsideTraces<T>(work: () => T): T {
  return context.with(ROOT_CONTEXT, work)
}

/** No stack: it repeats the message, and where the error is kept (`runs.get`) it is complete. */
export function tellFailure(span: Span, { name, code, message }: Failure): void {
  if (!span.isRecording()) return
  const text = cleanText(message, longestMessage)
  span.setAttribute('error.type', code ?? name)
  span.setStatus({ code: SpanStatusCode.ERROR, message: text })
  span.addEvent('exception', { 'exception.type': name, 'exception.message': text })
}

export function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) return { name: 'ThrownValue', code: null, message: '' }
  const code = 'code' in thrown && typeof thrown.code === 'string' ? cleanText(thrown.code, 100) : null
  return { name: thrown.name, code, message: thrown.message }
}
