/**
 * One attempt of one run, the same on every engine: parse the payload, open the tenant's context, run, read the
 * outcome. It never throws: whatever happens is an outcome.
 */
import type { Logger } from 'pino'
import type { Database } from '../db/database.ts'
import { InvalidTaskError, RunTimeoutError } from '../errors.ts'
import type { ServiceClients, ServiceName } from '../services/registry.ts'
import { type AttemptObserver, observeAttempt } from '../telemetry/attempt-span.ts'
import type { TraceCarrier } from '../telemetry/trace-carrier.ts'
import { type CurrentRun, insideRun, type TaskContext } from './context.ts'
import type { AnyTask } from './define.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { RunJournal } from './journal.ts'
import { completed, type Outcome, postponed, readOutcome } from './outcome.ts'
import { parsePayload } from './payload.ts'
import { parseProgress } from './progress.ts'
import { handOnLines } from './run-logger.ts'
import { type CredentialVersions, RunServices, type ServiceAccess } from './services.ts'

export interface AttemptInfo {
  runId: string
  /** 1 for the first. */
  attempt: number
  maxAttempts: number
  /** Aborted by the engine with a RunCancelledError, RunLostError or WorkerStoppingError as its reason. */
  signal: AbortSignal
  /** As it came with the run. */
  trace?: TraceCarrier | undefined
  /** How long the run was due before this attempt began, in milliseconds, where the engine knows. */
  waitedMs?: number
}

export interface ExecuteEnvironment {
  database: Database
  dispatcher: Dispatcher
  services: ServiceAccess
  logger: Logger
  whileWaiting: CurrentRun['whileWaiting']
}

/** What an attempt came to, and by service the version of the credentials it worked with. */
export interface Executed {
  outcome: Outcome
  credentials: CredentialVersions
}

/** How long an aborted `run` may take to clean up before it is left behind, in milliseconds. */
const cleanUpMs = 5_000
const unrecordedMs = 1_000

export async function execute(
  task: AnyTask,
  input: unknown,
  info: AttemptInfo,
  environment: ExecuteEnvironment,
): Promise<Executed> {
  return await observeAttempt({ taskId: task.id, ...info }, (observer) =>
    attemptOnce(task, input, info, environment, observer),
  )
}

async function attemptOnce(
  task: AnyTask,
  input: unknown,
  info: AttemptInfo,
  environment: ExecuteEnvironment,
  observer: AttemptObserver,
): Promise<Executed> {
  const abort = abortAfter(task.timeoutMs, info.signal)
  const attempt = { ...info, signal: abort.signal }
  let services: RunServices | undefined
  let journal: RunJournal | undefined
  const came = (outcome: Outcome): Executed => ({ outcome, credentials: services?.versions ?? {} })
  try {
    const payload = await parsePayload(task.id, task.schema, input)
    const { tenantId } = payload
    observer.ofTenant(tenantId)
    const ownServices = new RunServices(environment.services, tenantId)
    services = ownServices
    const about = { runId: info.runId, taskId: task.id, tenantId, attempt: info.attempt }
    const ownJournal = await environment.dispatcher.openJournal(about)
    journal = ownJournal
    const output = await environment.database.withTenant(
      tenantId,
      () =>
        leaveBehindIfStuck(abort.signal, async () =>
          callRun(task, payload, { services: ownServices, journal: ownJournal }, attempt, environment),
        ),
      { signal: abort.signal },
    )
    return came(completed(output))
  } catch (thrown) {
    const ofService = abort.signal.aborted ? null : await askServices(services, thrown, environment.logger)
    return came(ofService ?? readOutcome(thrown, abort.signal, info, task.retry))
  } finally {
    abort.done()
    // Who sees that the run has ended sees all that it wrote.
    await journal?.flushed()
  }
}

/** Where Postgres is away and cannot hold anything, the run comes back; it is not the task that has failed. */
async function askServices(
  services: RunServices | undefined,
  thrown: unknown,
  logger: Logger,
): Promise<Outcome | null> {
  try {
    return (await services?.readOutcome(thrown)) ?? null
  } catch (error) {
    logger.error({ err: error }, 'What a service said could not be recorded; the run is tried again')
    return postponed(unrecordedMs, error as Error)
  }
}

async function callRun(
  task: AnyTask,
  payload: { tenantId: string },
  { services, journal }: { services: RunServices; journal: RunJournal },
  info: AttemptInfo,
  { database, dispatcher, logger, whileWaiting }: ExecuteEnvironment,
): Promise<unknown> {
  const { runId, attempt, maxAttempts, signal } = info
  const { tenantId } = payload
  const [clients, timezone] = [await services.open(task.services), await dispatcher.timezoneOf(tenantId)]
  let ownLogger: Logger | undefined
  const context: TaskContext<ServiceName> = {
    tenantId,
    timezone,
    runId,
    attempt,
    maxAttempts,
    signal,
    // Those that the task names, and its type promises no others.
    clients: clients as ServiceClients,
    sql: database.sql,
    transaction: (fn) => database.transaction(fn),
    // Most runs log nothing, and a child logger is not free.
    get logger() {
      ownLogger ??= handOnLines(
        logger.child({ task: task.id, tenant: tenantId, run: runId, attempt }),
        journal.line,
      )
      return ownLogger
    },
    progress: (progress) => journal.progress(parseProgress(progress)),
    idempotencyKey: (label) => idempotencyKey(runId, label),
  }
  const run: CurrentRun = { runId, tenantId, signal, dispatcher, services, whileWaiting }
  return await insideRun(run, async () => await task.run(payload, context))
}

function idempotencyKey(runId: string, label: string): string {
  if (typeof label !== 'string' || label.length === 0 || label.length > 100) {
    throw new InvalidTaskError('idempotencyKey takes a label of 1 to 100 characters, for example "transfer".')
  }
  return `${runId}:${label}`
}

/** One signal for the engine's abort and the task's timeout. */
function abortAfter(timeoutMs: number, outer: AbortSignal): { signal: AbortSignal; done(): void } {
  const controller = new AbortController()
  const follow = () => controller.abort(outer.reason)
  const timer = setTimeout(() => controller.abort(new RunTimeoutError(timeoutMs)), timeoutMs)
  if (outer.aborted) follow()
  else outer.addEventListener('abort', follow, { once: true })
  return {
    signal: controller.signal,
    done: () => {
      clearTimeout(timer)
      outer.removeEventListener('abort', follow)
    },
  }
}

/**
 * A `run` that does not heed its signal must not keep the worker for ever. Once the clean-up time is over, the
 * callback of `withTenant` ends without it, and with that its context: whatever it still tries in the database is
 * refused.
 */
function leaveBehindIfStuck<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  return new Promise<T>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const onAbort = () => {
      timer = setTimeout(() => reject(signal.reason), cleanUpMs)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    run()
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      })
  })
}
