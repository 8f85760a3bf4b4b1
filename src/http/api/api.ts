/** The API of version 1, below `/api/v1`: one file for each kind of thing, and the document that describes them all. */
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Platform } from '../../platform.ts'
import { authenticate } from './authenticate.ts'
import type { ApiEnv } from './env.ts'
import { runRoutes } from './runs.ts'

export function apiRoutes(platform: () => Platform): OpenAPIHono<ApiEnv> {
  const open = new OpenAPIHono<ApiEnv>()
  const api = new OpenAPIHono<ApiEnv>()
  api.use('*', authenticate(platform))
  api.route('/', runRoutes())
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
