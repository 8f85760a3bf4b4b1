import { defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

export const video = defineTask({
  id: 'inbox/video',
  payload: tenantPayload({ event: z.string() }),
  webhooks: [{ service: 'mux', events: ['video.asset.ready'], payload: ({ id }) => ({ event: id }) }],
  run: ({ event }) => event,
})
