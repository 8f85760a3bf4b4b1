/**
 * Reading and steering runs, whatever engine they are on. Inside a tenant's context, and in a run of the tenant, the runs of
 * other tenants do not exist; code of the platform, outside of every tenant, sees all.
 */
import type { Engine, RunFilter, RunPage } from '../engines/engine.ts'
import { InvalidRunFilterError, TenantMismatchError, UnknownRunError } from '../errors.ts'
import type { Dispatcher } from '../task/dispatcher.ts'
import { type NewStart, readNewStart, readWaitOptions, type WaitOptions } from '../task/options.ts'
import { type Attempt, type Run, type RunHandle, runStates } from '../task/run.ts'
import { type ReplayOptions, replayRun } from './replay.ts'
import type { RunWaiter } from './waiter.ts'

export interface Runs {
  /** One run with its failed and lost attempts. Throws UnknownRunError. */
  get(runId: string): Promise<Run & { attempts: Attempt[] }>
  /** A page of runs, newest first; 50 by default. Throws TenantMismatchError inside the context of another tenant. */
  list(filter?: Partial<RunFilter>): Promise<RunPage>
  /** Ends an open run; a running one gets its signal aborted. False: it had ended already. Throws UnknownRunError. */
  cancel(runId: string): Promise<boolean>
  /**
   * A new run of the same task and payload, or of an edited payload, linked by `replayOf`. Throws UnknownRunError,
   * RunStillOpenError, UnknownTaskError, and InvalidPayloadError where the task as it is now does not take the payload.
   */
  replay(runId: string, options?: ReplayOptions): Promise<RunHandle>
  /** Another start for a run that was given one and has not begun. False: it does not wait for it any more. */
  reschedule(runId: string, start: NewStart): Promise<boolean>
  /**
   * Answers when the run has ended; 10 minutes at most by default. Throws UnknownRunError and WaitTimeoutError, and at once
   * what no waiting mends.
   */
  wait(runId: string, options?: WaitOptions): Promise<Run>
}

export function createRuns(
  ready: () => Promise<{ engine: Engine; waiter: RunWaiter }>,
  dispatcher: () => Dispatcher,
): Runs {
  /** The run, where it is one of the surrounding tenant. */
  const find = async (engine: Engine, runId: string): Promise<Run> => {
    const tenantId = dispatcher().currentTenant()
    const run = await engine.get(runId)
    if (!run || (tenantId !== null && tenantId !== run.tenantId)) throw new UnknownRunError(runId)
    return run
  }
  /** False: the run was past it already. */
  const steer = async (runId: string, attempt: (engine: Engine) => Promise<boolean>): Promise<boolean> => {
    const { engine } = await ready()
    if (dispatcher().currentTenant() !== null) await find(engine, runId)
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
      const checked = withinTenant(checkFilter(filter), dispatcher().currentTenant())
      return await (await ready()).engine.list(checked)
    },

    cancel: (runId) => steer(runId, (engine) => engine.cancel(runId)),

    async replay(runId, options = {}) {
      const { engine } = await ready()
      return await replayRun((id) => find(engine, id), dispatcher(), runId, options)
    },

    async reschedule(runId, start) {
      const checked = readNewStart(start)
      return await steer(runId, (engine) => engine.reschedule(runId, checked))
    },

    async wait(runId, options = {}) {
      const waiting = readWaitOptions(options)
      const tenantId = dispatcher().currentTenant()
      return await (await ready()).waiter.wait(runId, { ...waiting, tenantId })
    },
  }
}

function withinTenant(filter: RunFilter, surrounding: string | null): RunFilter {
  if (surrounding === null) return filter
  const { tenantId = surrounding } = filter
  if (tenantId !== surrounding) throw new TenantMismatchError(surrounding, tenantId, 'listing')
  return { ...filter, tenantId }
}

const texts = ['tenantId', 'taskId', 'tag', 'after'] as const satisfies (keyof RunFilter)[]
const known: readonly string[] = [...texts, 'states', 'limit'] satisfies (keyof RunFilter)[]

function checkFilter(filter: Partial<RunFilter>): RunFilter {
  if (typeof filter !== 'object' || filter === null) {
    throw new InvalidRunFilterError('A filter must be an object like { tenantId, states }.')
  }
  const unknown = Object.keys(filter).find((name) => !known.includes(name))
  if (unknown !== undefined) throw new InvalidRunFilterError(`Runs cannot be filtered by ${unknown}.`)
  const { limit = 50, states } = filter
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new InvalidRunFilterError('limit must be a whole number from 1 to 1000.')
  }
  const areStates = (list: unknown) =>
    Array.isArray(list) && list.length > 0 && list.every((state) => runStates.includes(state))
  if (states !== undefined && !areStates(states)) {
    throw new InvalidRunFilterError(`states must be some of ${runStates.join(', ')}.`)
  }
  for (const name of texts) {
    const text = filter[name]
    if (text === undefined) continue
    if (typeof text !== 'string') throw new InvalidRunFilterError(`${name} must be a text.`)
    if (text.includes('\0')) throw new InvalidRunFilterError(`${name} has a NUL character.`)
  }
  return { ...filter, limit }
}
