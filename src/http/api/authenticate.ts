/** Who asks: of the headers of a request only the session cookie and the bearer key are believed. */
import { createMiddleware } from 'hono/factory'
import { requireAuth } from '../../auth/index.ts'
import { leaveScopes } from '../../db/scope.ts'
import type { Platform } from '../../platform.ts'
import type { ApiEnv } from './env.ts'

/** Before anything else. An app that calls this from inside a tenant must not lend the request its context. */
export function onPlatform(platform: () => Platform) {
  return createMiddleware<ApiEnv>(async (context, next) => {
    context.set('platform', platform())
    await leaveScopes(next)
  })
}

/** One statement a request. @throws UnauthenticatedError, CrossSiteRequestError, AmbiguousCredentialsError. */
export const authenticate = createMiddleware<ApiEnv>(async (context, next) => {
  const { auth } = await context.get('platform').ready()
  context.set('principal', await requireAuth(auth, context.req.raw))
  await next()
})
