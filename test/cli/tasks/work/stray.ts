import { setTimeout as sleep } from 'node:timers/promises'
import { defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

/** Leaves an error to nobody, of one kind or the other, and takes `ms` to complete all the same. */
export const stray = defineTask({
  id: 'work/stray',
  payload: tenantPayload({ kind: z.enum(['rejection', 'exception']), ms: z.number() }),
  async run({ kind, ms }) {
    if (kind === 'rejection') void Promise.reject(new Error('Left as a rejection'))
    else setTimeout(throwStray, 1)
    await sleep(ms)
  },
})

function throwStray(): never {
  throw new Error('Left as an exception')
}
