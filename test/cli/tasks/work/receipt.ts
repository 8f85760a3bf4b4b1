import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

/** Depends on what the tenant has configured, and says so in its log. */
export const receipt = defineTask({
  id: 'work/receipt',
  payload: tenantPayload({ orderId: z.string(), email: z.email().meta({ pii: true }) }),
  services: ['resend'],
  run({ orderId }, { clients, logger }) {
    const from = clients.resend.fromAddress
    logger.info({ from, orderId }, 'Sending a receipt')
    if (from.endsWith('@old.test')) throw new AbortTaskError('The domain old.test is not verified')
    return { from }
  },
})
