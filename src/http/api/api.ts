/** The API of version 1, below `/api/v1`: one file for each kind of thing, and the document that describes them all. */
import { OpenAPIHono } from '@hono/zod-openapi'
import { createMiddleware } from 'hono/factory'
import { timeout } from 'hono/timeout'
import { leaveScopes } from '../../db/scope.ts'
import type { Platform } from '../../platform.ts'
import type { ClientAddress } from '../client-address.ts'
import { unavailable } from '../problem.ts'
import { auditRoutes } from './audit.ts'
import { authenticate, onPlatform } from './authenticate.ts'
import { bodyUpTo } from './body-size.ts'
import { credentialRoutes } from './credentials.ts'
import { deadlineMs } from './deadline.ts'
import type { ApiEnv } from './env.ts'
import { failureRoutes } from './failures.ts'
import { holdRoutes } from './holds.ts'
import { acceptRoutes, invitationRoutes } from './invitations.ts'
import { keyRoutes } from './keys.ts'
import { memberRoutes } from './members.ts'
import { cancellationRoutes, replayRoutes } from './replays.ts'
import { runLogRoutes } from './run-logs.ts'
import { runRoutes } from './runs.ts'
import { scheduleRoutes } from './schedules.ts'
import { platformScheduleRoutes } from './schedules-for-all.ts'
import { sessionRoutes, signInRoutes } from './session.ts'
import { taskRoutes } from './tasks.ts'
import { tenantRoutes } from './tenants.ts'
import { triggerRoutes } from './trigger.ts'
import { userRoutes } from './users.ts'

/** A thousand payloads of 16 kB each. */
const bodyBytes = 16 * 1024 * 1024
const retryAfterSeconds = 10

export function apiRoutes(platform: () => Platform, clientAddress?: ClientAddress): OpenAPIHono<ApiEnv> {
  const open = new OpenAPIHono<ApiEnv>()
  open.use('*', apart, timeout(deadlineMs, tooSlow))
  const api = new OpenAPIHono<ApiEnv>()
  api.use('*', onPlatform(platform))
  // Whoever signs in or accepts an invitation may be nobody yet.
  api.route('/', signInRoutes(clientAddress))
  api.route('/', acceptRoutes())
  api.use('*', authenticate, bodyUpTo(bodyBytes))
  api.route('/', taskRoutes())
  api.route('/', triggerRoutes())
  api.route('/', runRoutes())
  api.route('/', runLogRoutes())
  api.route('/', failureRoutes())
  api.route('/', replayRoutes())
  api.route('/', cancellationRoutes())
  api.route('/', auditRoutes())
  api.route('/', sessionRoutes())
  api.route('/', tenantRoutes())
  api.route('/', credentialRoutes())
  api.route('/', holdRoutes())
  api.route('/', scheduleRoutes())
  api.route('/', platformScheduleRoutes())
  api.route('/', userRoutes())
  api.route('/', memberRoutes())
  api.route('/', keyRoutes())
  api.route('/', invitationRoutes())
  let described: object | undefined
  open.get('/openapi.json', (context) => {
    described ??= document(api)
    return context.json(described)
  })
  return open.route('/', api)
}

/** Made from the schemas that requests are checked with. */
export function document(api: OpenAPIHono<ApiEnv>): object {
  api.openAPIRegistry.registerComponent('securitySchemes', 'key', { type: 'http', scheme: 'bearer' })
  api.openAPIRegistry.registerComponent('securitySchemes', 'session', {
    type: 'apiKey',
    in: 'cookie',
    name: '__Host-cgk_session',
  })
  return api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: '@cgk-platform/jobs', version: '1' },
    servers: [{ url: '/api/v1' }],
    security: [{ key: [] }, { session: [] }],
  })
}

/** An app that calls this from inside a tenant must not lend the request its context. */
const apart = createMiddleware<ApiEnv>(async (_, next) => await leaveScopes(next))

function tooSlow() {
  return unavailable('TOO_SLOW', 'This took too long.', { retryAfterSeconds })
}
