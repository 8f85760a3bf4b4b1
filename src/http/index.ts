/**
 * What a server of an app imports, from `@cgk-platform/jobs/http`. In Next.js, as
 * app/api/webhooks/[tenantId]/[service]/route.ts:
 *
 *     const app = createHttpApp({ basePath: '/api' })
 *     export const POST = (request: Request) => app.fetch(request)
 */
import { createHttpApp } from './app.ts'

export type { HttpOptions } from './app.ts'
export { createHttpApp } from './app.ts'

const app = createHttpApp()

/** Answers a request for the default platform, mounted at `/`. Never throws. */
export async function handleRequest(request: Request): Promise<Response> {
  return await app.fetch(request)
}
