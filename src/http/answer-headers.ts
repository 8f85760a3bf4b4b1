/** What browsers and caches are told of every answer, where the answer itself says nothing else. */
import { createMiddleware } from 'hono/factory'
import { secureHeaders } from 'hono/secure-headers'

/** Whether all of a host speaks https is for whoever runs the host to say, so there is no Strict-Transport-Security. */
export const secureAnswers = secureHeaders({
  contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
  xFrameOptions: 'DENY',
  strictTransportSecurity: false,
  overwrite: false,
})

/** Nearly every answer is somebody's. */
export const notStored = createMiddleware(async (context, next) => {
  await next()
  if (!context.res.headers.has('cache-control')) context.header('cache-control', 'no-store')
})
