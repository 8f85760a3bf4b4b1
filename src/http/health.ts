/** Whether this process lives, and whether it can do its work: for whatever starts, stops and balances processes. */
import { Hono } from 'hono'
import { timeout } from 'hono/timeout'
import { leaveScopes } from '../db/scope.ts'
import type { Platform } from '../platform.ts'
import { unavailable } from './problem.ts'

const answerWithinMs = 5_000
/** Nobody's: whether the queue looks for it or not is what counts. */
const noRun = '00000000-0000-4000-8000-000000000000'

/** Anybody may ask, so neither tells anything of the platform, and however many ask, one looks. */
export function healthRoutes(platform: () => Platform): Hono {
  let looking: Promise<void> | null = null
  const look = (): Promise<void> => {
    looking ??= leaveScopes(() => requireReady(platform())).finally(() => {
      looking = null
    })
    return looking
  }
  return new Hono()
    .get('/health', (context) => context.json({ status: 'ok' }))
    .get('/ready', timeout(answerWithinMs, notReady), async (context) => {
      try {
        await look()
      } catch (error) {
        platform().logger.warn({ err: error }, 'Not ready: the database or the engine does not answer')
        throw notReady()
      }
      return context.json({ status: 'ready' })
    })
}

async function requireReady(platform: Platform): Promise<void> {
  const { database, engine } = await platform.ready()
  await Promise.all([database.query('SELECT'), engine.get(noRun)])
}

function notReady() {
  return unavailable('NOT_READY', 'This process cannot do its work at the moment.', { retryAfterSeconds: 5 })
}
