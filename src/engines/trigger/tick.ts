/**
 * On Trigger.dev no worker of ours ticks the schedules, so a scheduled task of its own does, every minute. It comes up to
 * a minute late, as all of Trigger.dev's schedules do; which time is meant is decided by ours.
 */
import { schedules, type Task as TriggerTask } from '@trigger.dev/sdk'
import type { RunHost } from './run.ts'

export const tickTaskId = 'cgk/tick'

export function defineTickTask(host: RunHost): Pick<TriggerTask<string>, 'id'> {
  return schedules.task({
    id: tickTaskId,
    cron: '* * * * *',
    // What one has left, the next one does: none is to be tried again, or to wait behind another.
    retry: { maxAttempts: 1 },
    queue: { concurrencyLimit: 1 },
    ttl: 60,
    maxDuration: 600,
    run: async () => {
      await host.tick()
    },
  })
}
