/**
 * Reading and steering runs, whatever engine they are on. Inside a tenant's context, and in a run of the tenant, the runs of
 * other tenants do not exist; code of the platform, outside of every tenant, sees all.
 */
import type { Database } from '../db/database.ts'
import type { Engine, RunFilter, RunPage } from '../engines/engine.ts'
import { UnknownRunError } from '../errors.ts'
import type { Dispatcher } from '../task/dispatcher.ts'
import { type NewStart, readNewStart, readWaitOptions, type WaitOptions } from '../task/options.ts'
import type { Attempt, Run, RunHandle } from '../task/run.ts'
import { surroundingTenant, withinTenant } from '../tenants/surrounding.ts'
import type { BulkActions } from './bulk/bulk.ts'
import { type CountFilter, checkCountFilter, type RunCount } from './counts.ts'
import { checkFilter } from './filter.ts'
import type { FollowLogsOptions, ReadLogsOptions, RunLogs } from './journal/logs.ts'
import type { RunProgress } from './journal/progress.ts'
import type { RunLogLine, RunLogPage } from './journal/read-lines.ts'
import { type ReplayOptions, replayRun } from './replay.ts'
import type { RunWaiter } from './waiter.ts'

export interface Runs {
  /** One run with its failed and lost attempts. Throws UnknownRunError. */
  get(runId: string): Promise<Run & { attempts: Attempt[] }>
  /** A page of runs, newest first; 50 by default. Throws TenantMismatchError inside the context of another tenant. */
  list(filter?: Partial<RunFilter>): Promise<RunPage>
  /** How many by task, tenant and state: those that ended in the last 24 hours by default, and all that are open. */
  counts(filter?: CountFilter): Promise<RunCount[]>
  /** Ends an open run; a running one gets its signal aborted. False: it had ended already. Throws UnknownRunError. */
  cancel(runId: string): Promise<boolean>
  /**
   * A new run of the same task and payload, or of an edited payload, linked by `replayOf`. Throws UnknownRunError,
   * RunStillOpenError, UnknownTaskError, and InvalidPayloadError where the task as it is now does not take the payload.
   */
  replay(runId: string, options?: ReplayOptions): Promise<RunHandle>
  /** Of many runs, or with a look first: see `bulkActions`, which confirms what was previewed. */
  previewReplay: BulkActions['previewReplay']
  /** Another start for a run that was given one and has not begun. False: it does not wait for it any more. */
  reschedule(runId: string, start: NewStart): Promise<boolean>
  /**
   * Answers when the run has ended; 10 minutes at most by default. Throws UnknownRunError and WaitTimeoutError, and at once
   * what no waiting mends.
   */
  wait(runId: string, options?: WaitOptions): Promise<Run>
  /** A page of what the run wrote with `context.logger`, oldest first, over all attempts. Throws UnknownRunError. */
  logs(runId: string, options?: ReadLogsOptions): Promise<RunLogPage>
  /** The lines that are there, then each that comes, until the run has ended. Throws UnknownRunError. */
  followLogs(runId: string, options?: FollowLogsOptions): AsyncIterable<RunLogLine>
  /** What the run last told with `context.progress`; null: nothing. Throws UnknownRunError. */
  progress(runId: string): Promise<RunProgress | null>
}

export function createRuns(
  ready: () => Promise<{ database: Database; engine: Engine; waiter: RunWaiter; logs: RunLogs }>,
  dispatcher: () => Dispatcher,
  bulk: () => BulkActions,
): Runs {
  /** The run, where it is one of the surrounding tenant. */
  const find = async (engine: Engine, runId: string): Promise<Run> => {
    const tenantId = surroundingTenant('runs')
    const run = await engine.get(runId)
    if (!run || (tenantId !== null && tenantId !== run.tenantId)) throw new UnknownRunError(runId)
    return run
  }
  /** False: the run was past it already. */
  const steer = async (runId: string, attempt: (engine: Engine) => Promise<boolean>): Promise<boolean> => {
    const { engine } = await ready()
    if (surroundingTenant('runs') !== null) await find(engine, runId)
    if (await attempt(engine)) return true
    await find(engine, runId)
    return false
  }

  return {
    async get(runId) {
      const { engine } = await ready()
      const [run, attempts] = await Promise.all([find(engine, runId), engine.attempts(runId)])
      return { ...run, attempts }
    },

    async list(filter = {}) {
      const checked = withinTenant(checkFilter(filter), surroundingTenant('runs'), 'Runs')
      return await (await ready()).engine.list(checked)
    },

    async counts(filter = {}) {
      const checked = checkCountFilter(withinTenant(filter, surroundingTenant('runs'), 'Runs'), new Date())
      return await (await ready()).engine.counts(checked)
    },

    cancel: (runId) => steer(runId, (engine) => engine.cancel(runId)),

    async replay(runId, options = {}) {
      const { database, engine } = await ready()
      const dependencies = {
        find: (id: string) => find(engine, id),
        database,
        engine,
        dispatcher: dispatcher(),
      }
      return await replayRun(dependencies, runId, options)
    },

    previewReplay: (...args) => bulk().previewReplay(...args),

    async reschedule(runId, start) {
      const checked = readNewStart(start)
      return await steer(runId, (engine) => engine.reschedule(runId, checked))
    },

    async wait(runId, options = {}) {
      const waiting = readWaitOptions(options)
      const tenantId = surroundingTenant('runs')
      return await (await ready()).waiter.wait(runId, { ...waiting, tenantId })
    },

    async logs(runId, options) {
      const { engine, logs } = await ready()
      if (surroundingTenant('runs') !== null) await find(engine, runId)
      return await logs.read(runId, options)
    },

    async *followLogs(runId, options) {
      const { engine, logs } = await ready()
      if (surroundingTenant('runs') !== null) await find(engine, runId)
      yield* logs.follow(runId, options)
    },

    async progress(runId) {
      const { engine, logs } = await ready()
      if (surroundingTenant('runs') !== null) await find(engine, runId)
      return await logs.progress(runId)
    },
  }
}
