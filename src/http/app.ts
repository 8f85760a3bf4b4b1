/** The HTTP API as a Hono app: what is asked for where, and what goes for every request. */
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { timeout } from 'hono/timeout'
import { leaveScopes } from '../db/scope.ts'
import { defaultPlatform } from '../default-platform.ts'
import type { Platform } from '../platform.ts'
import { notStored, secureAnswers } from './answer-headers.ts'
import { apiRoutes } from './api/api.ts'
import { readError, readRefusal } from './api/errors.ts'
import type { ClientAddress } from './client-address.ts'
import { healthRoutes } from './health.ts'
import { metricsRoutes } from './metrics.ts'
import { problem, unavailable } from './problem.ts'
import { receiveWebhook } from './webhooks.ts'

export interface HttpOptions {
  /** Otherwise the default platform, as it is when a request arrives. */
  platform?: Platform
  /**
   * Where the app is mounted, for example `/api`; `/` by default. `JOBS_PUBLIC_URL` then ends with it. The API is at
   * `/api/v1`, either way.
   */
  basePath?: string
  /**
   * The IP address that a request comes from, where the app knows it: tries to sign in are counted by it. Without, it is
   * that of the socket; where there is none, as in Next.js, not known. A header that anybody can write is no answer.
   */
  clientAddress?: ClientAddress
}

/** Shopify and Mux wait 5 s. An answer in time says when to come back; silence only counts as one more failure. */
const webhookDeadlineMs = 4_000
/** An order of Shopify with hundreds of items has some 2 MB. It is held in memory before anybody proves who they are. */
const webhookBytes = 4 * 1024 * 1024
const retryAfterSeconds = 30

/** `createHttpApp().fetch` takes a web-standard Request and answers a Response. Connects to nothing by itself. */
export function createHttpApp({ platform, basePath = '/', clientAddress }: HttpOptions = {}): Hono {
  const platformNow = () => platform ?? defaultPlatform()
  const app = new Hono()
  return app
    .use(secureAnswers, notStored, methodNotAllowed({ app, onMethodNotAllowed: refuseMethod }))
    .route(basePath, healthRoutes(platformNow))
    .route(basePath, metricsRoutes(platformNow))
    .route(basePath, webhookRoutes(platformNow))
    .route(basePath === '/' ? '/api/v1' : `${basePath}/v1`, apiRoutes(platformNow, clientAddress))
    .notFound(() => noSuchPath().getResponse())
    .onError((error, context) => {
      const foreseen = error instanceof HTTPException ? readRefusal(error) : readError(error)
      if (!foreseen) logFailure(platformNow(), error, context)
      return (foreseen ?? notNow()).getResponse()
    })
}

function webhookRoutes(platform: () => Platform): Hono {
  const path = '/webhooks/:tenantId/:service'
  const inTime = timeout(webhookDeadlineMs, tooSlow)
  const notTooLarge = bodyLimit({ maxSize: webhookBytes, onError: refuseSize })
  return new Hono().post(path, inTime, notTooLarge, async (context) => {
    const { tenantId, service } = context.req.param()
    const delivery = { headers: context.req.raw.headers, body: await readBody(context) }
    // An app that calls this from inside a tenant must not lend the delivery its context.
    const receipt = await leaveScopes(() => receiveWebhook(platform(), tenantId, service, delivery))
    return context.json(receipt)
  })
}

async function readBody({ req }: Context): Promise<string> {
  try {
    return await req.text()
  } catch (cause) {
    throw problem({ status: 400, code: 'BODY_UNREADABLE', detail: 'The body broke off.', cause })
  }
}

function logFailure({ logger }: Platform, error: Error, { req }: Context): void {
  logger.error({ err: error, method: req.method, path: req.path }, 'A request could not be answered')
}

/** Whatever was not foreseen is ours to mend, and a provider that is told so sends its event again. */
function notNow(): HTTPException {
  return unavailable('UNAVAILABLE', 'This cannot be done at the moment.', { retryAfterSeconds })
}

function tooSlow(): HTTPException {
  return unavailable('TOO_SLOW', 'This took too long.', { retryAfterSeconds })
}

function refuseSize(): never {
  const detail = `The body is larger than ${webhookBytes} bytes.`
  throw problem({ status: 413, code: 'BODY_TOO_LARGE', detail })
}

function refuseMethod(_: Context, allowed: readonly string[]): Response {
  const allow = allowed.join(', ')
  const detail = `This path is for ${allow}.`
  return problem({ status: 405, code: 'METHOD_NOT_ALLOWED', detail, headers: { allow } }).getResponse()
}

function noSuchPath(): HTTPException {
  return problem({ status: 404, code: 'NOT_FOUND', detail: 'There is nothing at this path.' })
}
