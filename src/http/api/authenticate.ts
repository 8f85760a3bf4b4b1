/** Who asks: of the headers of a request only the session cookie and the bearer key are believed. */
import { createMiddleware } from 'hono/factory'
import { requireAuth } from '../../auth/index.ts'
import type { Platform } from '../../platform.ts'
import type { ApiEnv } from './env.ts'

/** One statement a request. @throws UnauthenticatedError, CrossSiteRequestError, AmbiguousCredentialsError. */
export function authenticate(platform: () => Platform) {
  return createMiddleware<ApiEnv>(async (context, next) => {
    const now = platform()
    const { auth } = await now.ready()
    context.set('platform', now)
    context.set('principal', await requireAuth(auth, context.req.raw))
    await next()
  })
}
