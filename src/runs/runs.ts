/** Reading and steering runs, whatever engine they are on. */
import type { Engine, RunFilter, RunPage } from '../engines/engine.ts'
import { InvalidRunFilterError, UnknownRunError } from '../errors.ts'
import { type Attempt, type Run, runStates } from '../task/run.ts'
import type { RunWaiter, WaitForOptions } from './waiter.ts'

export interface Runs {
  /** One run with its failed and lost attempts. Throws UnknownRunError. */
  get(runId: string): Promise<Run & { attempts: Attempt[] }>
  /** A page of runs, newest first; 50 by default. */
  list(filter?: Partial<RunFilter>): Promise<RunPage>
  /** Ends an open run; a running one gets its signal aborted. False: it had ended already. Throws UnknownRunError. */
  cancel(runId: string): Promise<boolean>
  /** Answers when the run has ended; 10 minutes at most by default. */
  wait(runId: string, options?: Partial<WaitForOptions>): Promise<Run>
}

const tenMinutesMs = 600_000

export function createRuns(ready: () => Promise<{ engine: Engine; waiter: RunWaiter }>): Runs {
  return {
    async get(runId) {
      const { engine } = await ready()
      const [run, attempts] = await Promise.all([engine.get(runId), engine.attempts(runId)])
      if (!run) throw new UnknownRunError(runId)
      return { ...run, attempts }
    },

    async list(filter = {}) {
      const checked = checkFilter(filter)
      return await (await ready()).engine.list(checked)
    },

    async cancel(runId) {
      const { engine } = await ready()
      if (await engine.cancel(runId)) return true
      if (await engine.get(runId)) return false
      throw new UnknownRunError(runId)
    },

    async wait(runId, options = {}) {
      const { waiter } = await ready()
      return await waiter.wait(runId, { timeoutMs: tenMinutesMs, ...options })
    },
  }
}

function checkFilter(filter: Partial<RunFilter>): RunFilter {
  const { limit = 50, states } = filter
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new InvalidRunFilterError('limit must be a whole number from 1 to 1000.')
  }
  const unknown = states?.find((state) => !runStates.includes(state))
  if (unknown !== undefined || states?.length === 0) {
    throw new InvalidRunFilterError(`states must be some of ${runStates.join(', ')}.`)
  }
  for (const text of [filter.tenantId, filter.taskId, filter.tag, filter.after]) {
    if (text?.includes('\0')) throw new InvalidRunFilterError('A filter has a NUL character.')
  }
  return { ...filter, limit }
}
