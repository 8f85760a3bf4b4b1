import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'

export const fail = defineTask({
  id: 'work/fail',
  payload: tenantPayload({}),
  run() {
    throw new AbortTaskError('No luck.\u001b[31m')
  },
})
