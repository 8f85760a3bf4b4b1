/** What a run has written with its logger: a page of it, or as it comes. */
import { setTimeout } from 'node:timers/promises'
import { createRoute, z } from '@hono/zod-openapi'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'
import { can, principalOf } from '../../auth/index.ts'
import { type ApiContext, type ApiRoutes, newRoutes } from './env.ts'
import { logLineSchema } from './run-schemas.ts'
import { noSuchRun, requireRun, runParam } from './runs.ts'
import { problems } from './schemas.ts'
import { showLine, showLines } from './show-run.ts'

/** So that nothing between here and the client takes a silent run for a dead connection. */
const heartbeatMs = 15_000
/** Whoever listens is asked again who they are that often, by the one statement that every request costs. */
const recheckMs = 3_000
/** No stream is for ever. An EventSource comes again by itself. */
const longestStreamMs = 15 * 60_000

const seq = z.coerce.number().int().min(0)

const readLogs = createRoute({
  method: 'get',
  path: '/runs/{runId}/logs',
  operationId: 'readRunLogs',
  summary: 'Log of a run, oldest line first',
  description:
    'With follow=true, server-sent events: `line` for each line that is there and each that comes, with its seq as id; `end` when the run has ended. It breaks off a few seconds after whoever listens has lost the right to it, and after 15 minutes: come again from the last line on.',
  request: {
    params: runParam,
    query: z.strictObject({
      limit: z.coerce.number().int().min(1).max(1_000).default(200),
      after: seq.optional().describe('Only lines behind the one with this seq.'),
      follow: z.enum(['true', 'false']).default('false'),
    }),
    headers: z.object({ 'last-event-id': seq.optional().describe('As `after`, where a stream broke off.') }),
  },
  responses: {
    200: {
      description: 'A page of lines, or a stream of them.',
      content: {
        'application/json': {
          schema: z.object({
            lines: z.array(logLineSchema),
            next: z.int().nullable().describe('Give it as `after`.'),
            written: z.int().describe('How many lines the run has written; the newest are kept.'),
          }),
        },
        'text/event-stream': { schema: z.string() },
      },
    },
    ...noSuchRun,
    ...problems,
  },
})

export function runLogRoutes(): ApiRoutes {
  return newRoutes().openapi(readLogs, async (context) => {
    const { id, tenantId } = await requireRun(context, context.req.valid('param').runId)
    const { limit, after = 0, follow } = context.req.valid('query')
    if (follow === 'false') {
      return context.json(showLines(await context.get('platform').runs.logs(id, { limit, after })), 200)
    }
    const seen = context.req.valid('header')['last-event-id'] ?? 0
    return streamSSE(context, (stream) =>
      sendLines(context, stream, { id, tenantId, after: Math.max(after, seen) }),
    )
  })
}

async function sendLines(
  context: ApiContext,
  stream: SSEStreamingApi,
  { id, tenantId, after }: { id: string; tenantId: string; after: number },
): Promise<void> {
  const { runs, logger } = context.get('platform')
  const gone = new AbortController()
  stream.onAbort(() => gone.abort())
  const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(longestStreamMs)])
  void endWhenRefused(context, tenantId, gone, signal)
  const heartbeat = setInterval(() => void stream.write(': still here\n\n'), heartbeatMs)
  try {
    for await (const line of runs.followLogs(id, { after, signal })) {
      await stream.writeSSE({ event: 'line', id: String(line.seq), data: JSON.stringify(showLine(line)) })
    }
    await stream.writeSSE({ event: 'end', data: '{}' })
  } catch (error) {
    // The answer has begun: it breaks off, and whoever listens comes again from the last line on.
    if (!signal.aborted) logger.error({ err: error, run: id }, 'A log could not be followed')
  } finally {
    clearInterval(heartbeat)
    gone.abort()
  }
}

/** A session that has ended, a key that was revoked, a person who has left: what they listen to breaks off. */
async function endWhenRefused(
  context: ApiContext,
  tenantId: string,
  gone: AbortController,
  signal: AbortSignal,
): Promise<void> {
  try {
    do await setTimeout(recheckMs, undefined, { signal })
    while (await mayStillRead(context, tenantId))
  } catch (error) {
    // Who cannot be asked is not trusted either.
    if (!signal.aborted) context.get('platform').logger.error({ err: error }, 'A stream could not be checked')
  }
  gone.abort()
}

async function mayStillRead(context: ApiContext, tenantId: string): Promise<boolean> {
  const { auth } = await context.get('platform').ready()
  const principal = await principalOf(auth, context.req.raw)
  return principal !== null && can(principal, 'runs:read', tenantId)
}
