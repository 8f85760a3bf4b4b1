import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

/** Logs so many lines, then waits until its tenant has a customer of this address. */
export const talk = defineTask({
  id: 'work/talk',
  payload: tenantPayload({ lines: z.number(), until: z.string().nullable(), fails: z.boolean() }),
  retry: { maxAttempts: 2, minDelay: '1ms' },
  async run({ lines, until, fails }, { logger, progress, signal, sql, attempt }) {
    for (let line = 1; line <= lines; line += 1) {
      logger.info({ line }, 'a line')
      progress({ current: line, total: lines })
    }
    if (fails && attempt === 1) throw new Error('again')
    logger.warn({ err: new AbortTaskError('No\u001b[31m luck.') }, 'in trouble')
    if (fails) throw new AbortTaskError('No luck.')
    while (until !== null && !signal.aborted) {
      const { rowCount } = await sql`SELECT FROM customers WHERE email = ${until}`
      if (rowCount > 0) break
    }
  },
})
