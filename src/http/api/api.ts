/** The API of version 1, below `/api/v1`: one file for each kind of thing, and the document that describes them all. */
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Platform } from '../../platform.ts'
import { authenticate, onPlatform } from './authenticate.ts'
import { credentialRoutes } from './credentials.ts'
import type { ApiEnv } from './env.ts'
import { holdRoutes } from './holds.ts'
import { acceptRoutes, invitationRoutes } from './invitations.ts'
import { keyRoutes } from './keys.ts'
import { memberRoutes } from './members.ts'
import { runRoutes } from './runs.ts'
import { scheduleRoutes } from './schedules.ts'
import { platformScheduleRoutes } from './schedules-for-all.ts'
import { sessionRoutes, signInRoutes } from './session.ts'
import { tenantRoutes } from './tenants.ts'
import { userRoutes } from './users.ts'

export function apiRoutes(platform: () => Platform): OpenAPIHono<ApiEnv> {
  const open = new OpenAPIHono<ApiEnv>()
  const api = new OpenAPIHono<ApiEnv>()
  api.use('*', onPlatform(platform))
  // For whoever is nobody yet.
  api.route('/', signInRoutes())
  api.route('/', acceptRoutes())
  api.use('*', authenticate)
  api.route('/', runRoutes())
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
  open.get('/openapi.json', (context) => context.json(document(api)))
  return open.route('/', api)
}

/** Made from the schemas that requests are checked with. */
export function document(api: OpenAPIHono<ApiEnv>) {
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
