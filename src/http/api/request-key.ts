/**
 * The Idempotency-Key of a request that triggers runs: sent again, at the same moment too, it is the same runs; sent
 * with anything else, it is refused.
 *
 * The ids of the runs follow from who sends it and the key, so the engine makes each once. That two requests are the
 * same is decided by one row, which the first to come writes: the runs themselves are there only later.
 */
import { isDeepStrictEqual } from 'node:util'
import { z } from '@hono/zod-openapi'
import type { Database } from '../../db/database.ts'
import { derivedRunId, hashOf } from '../../task/derived-id.ts'
import type { Run, RunRequest } from '../../task/run.ts'
import { problem } from '../problem.ts'
import type { ApiContext } from './env.ts'

/** In lower case, as Hono has the names of headers. */
export const requestKeyHeader = z.object({
  'idempotency-key': z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('The same key, sent again by the same key or user, is the same runs and no new ones.'),
})

/** With an Idempotency-Key, the ids that the same request had before. */
export function idFor(context: ApiContext, index: number): Pick<RunRequest, 'repeatable'> & { id?: string } {
  const key = keyOf(context)
  if (key === undefined) return {}
  const id = derivedRunId(['request', context.get('principal').id, key, String(index)])
  return { id, repeatable: true }
}

/**
 * Before anything is queued. `asked`: what was sent, the order of fields aside. @throws the problem
 * IDEMPOTENCY_KEY_REUSED.
 */
export async function refuseOtherUse(
  context: ApiContext,
  requests: readonly RunRequest[],
  asked: unknown,
): Promise<void> {
  const key = keyOf(context)
  if (key === undefined) return
  const { database } = await context.get('platform').ready()
  const whose = ['request', context.get('principal').id, key]
  const request = hashOf([...whose, inOrder(asked)])
  if (!request.equals(await firstRequest(database, hashOf(whose), request))) throw keyReused()
  await refuseOtherRuns(context, requests)
}

function keyOf(context: ApiContext): string | undefined {
  return context.req.header('idempotency-key')
}

/** What came first with this key. Sweeps a few that are too old. Indexes: the primary key, and sent_at. */
async function firstRequest({ sql }: Database, key: Buffer, request: Buffer): Promise<Buffer> {
  const { rows } = await sql<{ request: Buffer }>`
    WITH swept AS (
      DELETE FROM public.platform_request_keys WHERE key IN (
        SELECT key FROM public.platform_request_keys WHERE sent_at < now() - interval '7 days' AND key <> ${key}
        ORDER BY sent_at LIMIT 10 FOR UPDATE SKIP LOCKED
      )
    )
    INSERT INTO public.platform_request_keys (key, request) VALUES (${key}, ${request})
    ON CONFLICT (key) DO UPDATE SET sent_at = now()
    RETURNING request`
  return rows[0]!.request
}

/**
 * For a key of longer ago. All were queued together, so those of the same request are all there or none is. Of a new
 * one, the usual case, one run is looked for: with Trigger.dev each costs a request.
 */
async function refuseOtherRuns(context: ApiContext, requests: readonly RunRequest[]): Promise<void> {
  const [first] = requests
  const { engine } = await context.get('platform').ready()
  if (!first || !(await engine.get(first.id))) return
  const requested = new Map(requests.map((request) => [request.id, request]))
  const found = await engine.getMany([...requested.keys()])
  if (found.length === requests.length && found.every((run) => isSame(run, requested.get(run.id)))) return
  throw keyReused()
}

/** A run that its engine has not quite made yet has no payload to compare. */
function isSame(run: Run, request: RunRequest | undefined): boolean {
  if (run.taskId !== request?.taskId) return false
  return run.payload === null || isDeepStrictEqual(run.payload, request.input)
}

/** The same JSON, whichever order its fields came in. */
function inOrder(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

function keyReused() {
  return problem({
    status: 409,
    code: 'IDEMPOTENCY_KEY_REUSED',
    detail:
      'This Idempotency-Key was sent before, with another task, payload or option. Use a new key for each request.',
  })
}
