import { setTimeout as sleep } from 'node:timers/promises'
import { defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

export const wait = defineTask({
  id: 'work/wait',
  payload: tenantPayload({
    ms: z.number(),
    deaf: z.boolean().default(false),
    name: z.string().meta({ pii: true }).optional(),
  }),
  async run({ ms, deaf }, { logger, signal }) {
    logger.info('began to wait')
    await sleep(ms, undefined, deaf ? {} : { signal })
    return { waitedMs: ms }
  },
})
