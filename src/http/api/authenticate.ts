/** Who asks: of the headers of a request only the session cookie and the bearer key are believed. */
import { createMiddleware } from 'hono/factory'
import { requireAuth } from '../../auth/index.ts'
import type { Platform } from '../../platform.ts'
import type { ApiEnv } from './env.ts'

/** Before anything else. */
export function onPlatform(platform: () => Platform) {
  return createMiddleware<ApiEnv>(async (context, next) => {
    context.set('platform', platform())
    await next()
  })
}

/** One statement a request. @throws UnauthenticatedError, CrossSiteRequestError, AmbiguousCredentialsError. */
export const authenticate = createMiddleware<ApiEnv>(async (context, next) => {
  const { auth } = await context.get('platform').ready()
  context.set('principal', await requireAuth(auth, context.req.raw))
  await next()
})
