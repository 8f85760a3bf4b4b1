/**
 * The span of what enters the queue, whoever triggers it: one for a run, and one for a whole batch. Its place travels
 * with every run, and the spans of their attempts hang below it.
 */
import { type Attributes, type Link, type Span, SpanKind } from '@opentelemetry/api'
import { messagingSystem, runAttribute, taskAttribute, tenantAttribute } from './attributes.ts'
import { inSpan } from './span.ts'
import { currentTrace, readTraceparent, type TraceCarrier } from './trace-carrier.ts'

interface Request {
  taskId: string
  tenantId: string
  trace?: TraceCarrier
}

/** What SDKs keep of one span by default. */
const mostLinks = 128

/** `enqueue` is given the requests with their trace in them. */
export async function traceEnqueue<R extends Request, H extends { id: string }>(
  requests: readonly R[],
  enqueue: (requests: readonly R[]) => Promise<H[]>,
): Promise<H[]> {
  const task = theOnly(requests, ({ taskId }) => taskId)
  return await inSpan(
    `send ${task ?? 'several tasks'}`,
    { kind: SpanKind.PRODUCER, attributes: attributesOf(requests, task), links: linksOf(requests) },
    async (span) => {
      const handles = await enqueue(withTrace(requests))
      if (handles.length === 1) tellRun(span, handles[0]!.id)
      return handles
    },
  )
}

function attributesOf(requests: readonly Request[], task: string | undefined): Attributes {
  const tenant = theOnly(requests, ({ tenantId }) => tenantId)
  return {
    'messaging.system': messagingSystem,
    'messaging.operation.type': 'send',
    'messaging.operation.name': 'trigger',
    ...(task !== undefined && { 'messaging.destination.name': task, [taskAttribute]: task }),
    ...(tenant !== undefined && { [tenantAttribute]: tenant }),
    ...(requests.length > 1 && { 'messaging.batch.message_count': requests.length }),
  }
}

/** Not known before: an idempotency key may answer a run that was there. */
function tellRun(span: Span, runId: string): void {
  span.setAttributes({ 'messaging.message.id': runId, [runAttribute]: runId })
}

function linksOf(requests: readonly Request[]): Link[] {
  const links: Link[] = []
  for (const { trace } of requests) {
    if (links.length === mostLinks) break
    const followed = trace?.follows && readTraceparent(trace.follows)
    if (followed) links.push({ context: followed })
  }
  return links
}

function withTrace<R extends Request>(requests: readonly R[]): readonly R[] {
  const current = currentTrace()
  if (!current) return requests
  return requests.map((request) => ({ ...request, trace: { ...request.trace, ...current } }))
}

/** What all have in common. */
function theOnly(requests: readonly Request[], read: (request: Request) => string): string | undefined {
  const first = requests[0] && read(requests[0])
  return requests.every((request) => read(request) === first) ? first : undefined
}
