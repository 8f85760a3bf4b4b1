/**
 * One attempt of one run on Trigger.dev, from its process: execute, and while the outcome is to come back later or when
 * something is mended, wait and execute again. All of that is one attempt for Trigger.dev, so waiting spends none.
 */
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import { AbortTaskError, RunCancelledError, RunTimeoutError } from '../../errors.ts'
import type { AnyTask } from '../../task/define.ts'
import type { Dispatcher } from '../../task/dispatcher.ts'
import { execute } from '../../task/execute.ts'
import { type JsonValue, storableError } from '../../task/json.ts'
import { type Outcome, readOutcome } from '../../task/outcome.ts'
import type { ServiceAccess } from '../../task/services.ts'
import { recordSettled } from '../../telemetry/settled.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'
import { tellAttempt } from './attempt-facts.ts'
import { begin } from './begin.ts'
import { maxDurationSeconds } from './max-duration.ts'
import { dropOldNote, pause } from './pause.ts'
import { recordAttempt } from './record-attempt.ts'
import { RunFailedError, RunRetryError } from './run-error.ts'
import { tenantInPayload } from './run-facts.ts'
import { waitingOutside } from './wait-for-child.ts'
import { WaitTurn } from './wait-turn.ts'

/** What a run needs of the platform in its process. */
export interface RunEnvironment {
  database: Database
  dispatcher: Dispatcher
  services: ServiceAccess
  logger: Logger
}

/** The platform of the process; made at the first run, never when tasks are imported. */
export interface RunHost {
  readonly logger: Logger
  /** How long a run waits for a child in place, before it asks Trigger.dev to wait. */
  readonly waitInPlaceMs: number
  environment(): Promise<RunEnvironment>
  /** Makes the runs of schedules whose time has come. */
  tick(): Promise<void>
  /** A run of this process waits for long: nothing needs to be held open meanwhile. */
  rest(): Promise<void>
}

export interface RunAttempt {
  runId: string
  /** Trigger.dev's id of the run. */
  triggerId: string
  attempt: number
  maxAttempts: number
  /** Trigger.dev's own, aborted on a cancel and after `maxDuration`. */
  signal: AbortSignal
  /** As it came with the run. */
  trace?: TraceCarrier | undefined
}

/** The attempt as it goes on from execution to execution. */
interface OpenAttempt extends RunAttempt {
  turn: WaitTurn
}

type FinalOutcome = Exclude<Outcome, { kind: 'postponed' | 'held' }>

/** What is looked at again without being told: the first time soon, then ever more seldom. */
const heldMs = { first: 5_000, longest: 120_000 }
/** Below this, closing and opening connections costs more than holding them. */
const restFromMs = 30_000

/** Answers the output. @throws what Trigger.dev is to make of the attempt. */
export async function runOnTrigger(
  task: AnyTask,
  input: unknown,
  given: RunAttempt,
  host: RunHost,
): Promise<JsonValue> {
  const attempt = { ...given, signal: inOurWords(given.signal, task), turn: new WaitTurn() }
  dropOldNote()
  let startedAt = new Date()
  const decided = await untilFinal(task, input, attempt, host, () => {
    startedAt = new Date()
  })
  const outcome = isOverTime(given.signal) ? withoutRetry(decided) : decided
  recordSettled({ taskId: task.id, tenantId: tenantInPayload(input), outcome: outcome.kind })
  switch (outcome.kind) {
    case 'completed':
      return outcome.output
    case 'cancelled':
    case 'abandoned':
      // Whatever this says: Trigger.dev has ended the run already, or made it twice.
      throw new RunFailedError(storableError(attempt.signal.reason ?? madeTwice()))
    case 'retry':
    case 'failed':
      await keep(task, input, attempt, outcome, startedAt, host)
      throw outcome.kind === 'retry'
        ? new RunRetryError(outcome.error, outcome.delayMs)
        : new RunFailedError(outcome.error)
  }
}

async function isTheRun(
  task: AnyTask,
  input: unknown,
  { runId, triggerId }: RunAttempt,
  host: RunHost,
): Promise<boolean> {
  const { database } = await host.environment()
  return await begin(database, { runId, triggerId, taskId: task.id, tenantId: tenantInPayload(input) ?? '' })
}

function madeTwice(): AbortTaskError {
  return new AbortTaskError(
    'Trigger.dev has made this run twice. The other one does the work; this one does nothing.',
  )
}

async function untilFinal(
  task: AnyTask,
  input: unknown,
  attempt: OpenAttempt,
  host: RunHost,
  onStart: () => void,
): Promise<FinalOutcome> {
  const { signal, turn } = attempt
  try {
    if (!(await isTheRun(task, input, attempt, host))) return { kind: 'abandoned' }
    for (let held = 0; ; ) {
      onStart()
      const outcome = await executeOnce(task, input, attempt, host)
      if (outcome.kind !== 'postponed' && outcome.kind !== 'held') return outcome
      const delayMs = outcome.kind === 'held' ? lookAgainIn(outcome.until, held) : outcome.delayMs
      held = outcome.kind === 'held' ? held + 1 : 0
      if (delayMs >= restFromMs) await host.rest()
      await pause(delayMs, noteOf(outcome, delayMs, attempt), signal, turn, host.logger)
    }
  } catch (error) {
    // Cancelled while it waited, or the platform could not be started: the rule that errors of tasks go by.
    const outcome = readOutcome(error, signal, attempt, task.retry)
    if (outcome.kind === 'postponed' || outcome.kind === 'held') throw error
    return outcome
  }
}

async function executeOnce(
  task: AnyTask,
  input: unknown,
  attempt: OpenAttempt,
  host: RunHost,
): Promise<Outcome> {
  const environment = await host.environment()
  await lookAtHolds(task, input, environment)
  const { database, logger } = environment
  const waiting = { turn: attempt.turn, inPlaceMs: host.waitInPlaceMs, database, logger }
  const { outcome, credentials } = await execute(task, input, attempt, {
    ...environment,
    dispatcher: waitingOutside(environment.dispatcher, waiting),
    // The process has no other run to give its place to; the place at Trigger.dev is given by the dispatcher.
    whileWaiting: (wait) => wait(),
  })
  tellAttempt(credentials)
  return outcome
}

/** Nobody has looked before Trigger.dev started this run: what is held in the table, `execute` is to know of. */
async function lookAtHolds(task: AnyTask, input: unknown, { services }: RunEnvironment): Promise<void> {
  const tenantId = tenantInPayload(input)
  if (tenantId === null) return
  await Promise.all(task.services.map((service) => services.holds.gate.refresh(tenantId, service)))
}

/** Runs that wait for one thing do not all come at the same moment. */
function lookAgainIn(until: Date | null, times: number): number {
  const spread = 1 + Math.random() / 4
  const step = Math.min(heldMs.longest, heldMs.first * 2 ** times)
  const leftMs = until === null ? step : until.getTime() - Date.now()
  return Math.round(Math.max(100, Math.min(leftMs, heldMs.longest)) * spread)
}

function noteOf(
  outcome: Extract<Outcome, { kind: 'postponed' | 'held' }>,
  delayMs: number,
  { attempt }: RunAttempt,
): Parameters<typeof pause>[1] {
  const { kind, reason } = outcome
  if (kind === 'held')
    return { state: 'held', by: outcome.by, reason, until: outcome.until?.toISOString() ?? null }
  const until = new Date(Date.now() + delayMs).toISOString()
  return { state: attempt > 1 ? 'retrying' : 'scheduled', by: null, reason, until }
}

/** That an attempt failed is Trigger.dev's to know; where Postgres is away, the table lacks it. */
async function keep(
  task: AnyTask,
  input: unknown,
  { runId, attempt }: RunAttempt,
  { kind, error }: Extract<Outcome, { kind: 'retry' | 'failed' }>,
  startedAt: Date,
  host: RunHost,
): Promise<void> {
  try {
    const { database } = await host.environment()
    const about = { runId, attempt, taskId: task.id, tenantId: tenantInPayload(input) ?? '' }
    await recordAttempt(database, { ...about, result: kind, error, startedAt })
  } catch (failure) {
    host.logger.warn({ err: failure, run: runId }, 'A failed attempt could not be recorded')
  }
}

/** Trigger.dev aborts with reasons of its own; the outcome is read from ours. */
function inOurWords(signal: AbortSignal, task: AnyTask): AbortSignal {
  const controller = new AbortController()
  const follow = () =>
    controller.abort(
      isOverTime(signal) ? new RunTimeoutError(maxDurationSeconds(task) * 1_000) : new RunCancelledError(),
    )
  if (signal.aborted) follow()
  else signal.addEventListener('abort', follow, { once: true })
  return controller.signal
}

/** Past `maxDuration`: no attempt follows. */
function isOverTime({ reason }: AbortSignal): boolean {
  return reason instanceof Error && reason.name === 'TaskRunExceededMaxDuration'
}

function withoutRetry(outcome: FinalOutcome): FinalOutcome {
  return outcome.kind === 'retry' ? { kind: 'failed', error: outcome.error } : outcome
}
