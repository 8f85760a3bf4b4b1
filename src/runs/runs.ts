/** Reading and steering runs, whatever engine they are on. */
import type { Engine, RunFilter, RunPage } from '../engines/engine.ts'
import { UnknownRunError } from '../errors.ts'
import { readWaitOptions, type WaitOptions } from '../task/options.ts'
import type { Attempt, Run } from '../task/run.ts'
import { type CountFilter, checkCountFilter, type RunCount } from './counts.ts'
import { checkFilter } from './filter.ts'
import type { RunWaiter } from './waiter.ts'

export interface Runs {
  /** One run with its failed and lost attempts. Throws UnknownRunError. */
  get(runId: string): Promise<Run & { attempts: Attempt[] }>
  /** A page of runs, newest first; 50 by default. */
  list(filter?: Partial<RunFilter>): Promise<RunPage>
  /** How many by task, tenant and state: those that ended in the last 24 hours by default, and all that are open. */
  counts(filter?: CountFilter): Promise<RunCount[]>
  /** Ends an open run; a running one gets its signal aborted. False: it had ended already. Throws UnknownRunError. */
  cancel(runId: string): Promise<boolean>
  /** Answers when the run has ended; 10 minutes at most by default. */
  wait(runId: string, options?: WaitOptions): Promise<Run>
}

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

    async counts(filter = {}) {
      const checked = checkCountFilter(filter, new Date())
      return await (await ready()).engine.counts(checked)
    },

    async cancel(runId) {
      const { engine } = await ready()
      if (await engine.cancel(runId)) return true
      if (await engine.get(runId)) return false
      throw new UnknownRunError(runId)
    },

    async wait(runId, options = {}) {
      const waiting = readWaitOptions(options)
      return await (await ready()).waiter.wait(runId, waiting)
    },
  }
}
