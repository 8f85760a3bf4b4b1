/** Runs: triggering, finding, reading and ending them. */
import { createRoute, z } from '@hono/zod-openapi'
import { UnknownRunError } from '../../errors.ts'
import { type ApiContext, type ApiRoutes, newRoutes, permit } from './env.ts'
import { jsonAnswer, problemAnswer, problems, uuid } from './schemas.ts'

const runId = z.object({ runId: uuid })

const cancelRun = createRoute({
  method: 'post',
  path: '/runs/{runId}/cancel',
  summary: 'End an open run; a running one gets its signal',
  request: { params: runId },
  responses: {
    200: jsonAnswer('Whether it was open.', z.object({ cancelled: z.boolean() })),
    404: problemAnswer('There is no such run for whoever asks.'),
    ...problems,
  },
})

export function runRoutes(): ApiRoutes {
  return newRoutes().openapi(cancelRun, async (context) => {
    const { runId: id } = context.req.valid('param')
    permit(context, 'runs:cancel', await tenantOfRun(context, id))
    return context.json({ cancelled: await context.get('platform').runs.cancel(id) }, 200)
  })
}

/** The tenant whose run it is. One that whoever asks may not see is no run. @throws UnknownRunError. */
export async function tenantOfRun(context: ApiContext, id: string): Promise<string> {
  const { tenantId } = await context.get('platform').runs.get(id)
  try {
    permit(context, 'runs:read', tenantId)
  } catch {
    throw new UnknownRunError(id)
  }
  return tenantId
}
