/**
 * Every run of one inline engine, and each step of its life as one synchronous call: so nothing ever sees half a step,
 * and no locks are needed. The rules are those of the pg-boss engine's statements; test/engines holds both to them.
 */
import { RunCancelledError, RunLostError } from '../../errors.ts'
import { describeFailure } from '../../runs/fingerprint.ts'
import type { AnyTask } from '../../task/define.ts'
import type { Outcome } from '../../task/outcome.ts'
import { isFinal, type RunRequest, type RunState } from '../../task/run.ts'
import type { CredentialVersions } from '../../task/services.ts'
import type { Backlog } from '../../telemetry/queue-gauges.ts'
import type { Clock } from '../clock.ts'
import type { SettledEvent, Start } from '../engine.ts'
import { createRun, hasLapsed, heldUntil, type InlineRun, startOf, stateOf } from './run.ts'

export class RunQueue {
  readonly #clock: Clock
  readonly #onChange: () => void
  /** By id, in order of arrival. A run has more ids than one when an idempotency key led to it (see `add`). */
  readonly #runs = new Map<string, InlineRun>()
  readonly #keys = new Map<string, { run: InlineRun; until: number }>()
  #added = 0

  /** `onChange` is told whenever a run may have become due. */
  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock
    this.#onChange = onChange
  }

  get now(): number {
    return this.#clock.now().getTime()
  }

  get(runId: string): InlineRun | undefined {
    return this.#runs.get(runId)
  }

  all(): InlineRun[] {
    return [...new Set(this.#runs.values())]
  }

  /** The run that has this request's idempotency key: while it is open or completed, until the key's time is over. */
  holderOf(request: RunRequest): InlineRun | undefined {
    const held = this.#keys.get(keyOf(request))
    if (!held || held.until <= this.now) return undefined
    const state = stateOf(held.run, this.now)
    return state === 'failed' || state === 'cancelled' || state === 'expired' ? undefined : held.run
  }

  /**
   * Queues a run, or answers the one that has its id or its key. That one is then found by both ids: a transaction has told its
   * caller the id before it committed, and another may have taken the key in between.
   */
  add(request: RunRequest): InlineRun {
    const known = this.#runs.get(request.id) ?? this.holderOf(request)
    const run = known ?? createRun(request, this.#added++, this.now)
    this.#runs.set(request.id, run)
    if (request.idempotency && run.request === request) {
      this.#keys.set(keyOf(request), { run, until: this.now + request.idempotency.ttlMs })
    }
    this.#onChange()
    return run
  }

  /** The next due run of these tasks becomes running. Those whose time is over expire on the way. */
  claim(
    tasks: ReadonlyMap<string, AnyTask>,
  ): { run: InlineRun; task: AnyTask } | { expired: InlineRun } | null {
    const now = this.now
    const running = this.#runningPerTenant()
    let next: InlineRun | null = null
    for (const run of this.all()) {
      const task = tasks.get(run.request.taskId)
      if (!task || run.state !== 'waiting' || run.startAt > now) continue
      if ((running.get(tenantKey(run)) ?? 0) >= (task.perTenant ?? Number.POSITIVE_INFINITY)) continue
      if (!next || run.request.priority > next.request.priority) next = run
    }
    if (!next) return null
    if (hasLapsed(next, now)) {
      this.#finish(next, 'expired')
      return { expired: next }
    }
    next.state = 'running'
    next.heldBy = null
    next.attempt += 1
    next.startedAt = now
    next.abort = new AbortController()
    return { run: next, task: tasks.get(next.request.taskId)! }
  }

  /** When a waiting run of these tasks is due, at the earliest; Infinity when none waits. */
  nextDueAt(tasks: ReadonlyMap<string, AnyTask>): number {
    const times = this.all()
      .filter((run) => run.state === 'waiting' && tasks.has(run.request.taskId) && run.startAt > this.now)
      .map((run) => run.startAt)
    return times.reduce((earliest, time) => Math.min(earliest, time), Number.POSITIVE_INFINITY)
  }

  /** Null: the run was cancelled or dropped meanwhile, and the outcome changes nothing. */
  settle(
    run: InlineRun,
    outcome: Outcome,
    { worker, credentials }: { worker: string; credentials: CredentialVersions },
  ): SettledEvent['outcome'] | null {
    if (run.state !== 'running' || outcome.kind === 'abandoned') return null
    if (outcome.kind === 'retry' || outcome.kind === 'failed') this.#recordAttempt(run, outcome, worker)
    if (isFinal(outcome.kind as RunState)) Object.assign(run, { worker, credentials })
    switch (outcome.kind) {
      case 'completed':
        run.output = outcome.output
        run.error = null
        this.#finish(run, 'completed')
        break
      case 'failed':
        run.error = outcome.error
        this.#finish(run, 'failed')
        break
      case 'cancelled':
        this.#finish(run, 'cancelled')
        break
      case 'retry':
        run.error = outcome.error
        this.#wait(run, this.now + outcome.delayMs)
        break
      case 'postponed':
        // No attempt is spent, and a run that has started once does not expire.
        run.attempt -= 1
        run.startedAt = null
        run.expiresAt = null
        run.error = outcome.reason
        this.#wait(run, this.now + outcome.delayMs)
        break
      case 'held':
        run.attempt -= 1
        run.startedAt = null
        run.error = outcome.reason
        run.heldBy = outcome.by
        if (outcome.begun) run.expiresAt = null
        this.#wait(run, outcome.until?.getTime() ?? heldUntil)
        break
    }
    return outcome.kind
  }

  cancel(runId: string): boolean {
    const run = this.#runs.get(runId)
    if (!run || (run.state !== 'waiting' && run.state !== 'running')) return false
    run.error = null
    this.#finish(run, 'cancelled')
    run.abort.abort(new RunCancelledError())
    return true
  }

  reschedule(runId: string, start: Start): boolean {
    const run = this.#runs.get(runId)
    // One that has been put off has an error to show, and comes back by itself.
    if (!run || stateOf(run, this.now) !== 'scheduled' || run.error) return false
    const startAt = startOf(start, this.now)
    if (run.expiresAt !== null) run.expiresAt += startAt - run.startAt
    this.#wait(run, startAt)
    return true
  }

  countOpen(tenantId: string): number {
    return this.#ofTenant(tenantId).filter(({ state }) => state === 'waiting' || state === 'running').length
  }

  withOpenRun(taskId: string, tag: string, tenantIds: readonly string[]): string[] {
    const open = this.all().filter(({ state }) => state === 'waiting' || state === 'running')
    const ofTask = open.filter(({ request }) => request.taskId === taskId && request.tags.includes(tag))
    const busy = new Set(ofTask.map(({ request }) => request.tenantId))
    return tenantIds.filter((tenantId) => busy.has(tenantId))
  }

  /** What is due, by task. */
  backlog(taskIds: readonly string[]): Backlog[] {
    const now = this.now
    const due = this.all().filter(({ state, startAt }) => state === 'waiting' && startAt <= now)
    return taskIds.map((taskId) => {
      const ofTask = due.filter(({ request }) => request.taskId === taskId)
      const since = ofTask.reduce((earliest, { startAt }) => Math.min(earliest, startAt), now)
      return { taskId, depth: ofTask.length, ageMs: now - since }
    })
  }

  countHeld(tenantId: string, by: string): number {
    return this.#ofTenant(tenantId).filter(({ state, heldBy }) => state === 'waiting' && heldBy === by).length
  }

  /** The runs of a tenant that `by` held are due again. */
  release(tenantId: string, by: string): void {
    for (const run of this.#ofTenant(tenantId)) {
      if (run.state !== 'waiting' || run.heldBy !== by) continue
      run.error = null
      run.heldBy = null
      this.#wait(run, this.now)
    }
  }

  /** Forgets everything of a tenant. */
  drop(tenantId: string): void {
    for (const [runId, run] of this.#runs) {
      if (run.request.tenantId !== tenantId) continue
      this.#runs.delete(runId)
      run.abort.abort(new RunLostError())
    }
    for (const [key, { run }] of this.#keys) if (run.request.tenantId === tenantId) this.#keys.delete(key)
  }

  #wait(run: InlineRun, until: number): void {
    run.state = 'waiting'
    run.startAt = until
    this.#onChange()
  }

  #finish(run: InlineRun, state: 'completed' | 'failed' | 'cancelled' | 'expired'): void {
    run.state = state
    run.finishedAt = this.now
    // A tenant at its limit has room again.
    this.#onChange()
  }

  #recordAttempt(
    run: InlineRun,
    { kind, error }: Outcome & { kind: 'retry' | 'failed' },
    worker: string,
  ): void {
    const startedAt = new Date(run.startedAt!)
    const { fingerprint } = describeFailure(run.request.taskId, error)
    run.fingerprint = fingerprint
    run.attempts.push({
      attempt: run.attempt,
      result: kind,
      error,
      fingerprint,
      startedAt,
      finishedAt: new Date(this.now),
      worker,
    })
  }

  #ofTenant(tenantId: string): InlineRun[] {
    return this.all().filter((run) => run.request.tenantId === tenantId)
  }

  #runningPerTenant(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const run of this.all()) {
      if (run.state === 'running') counts.set(tenantKey(run), (counts.get(tenantKey(run)) ?? 0) + 1)
    }
    return counts
  }
}

/** Scoped to task and tenant; neither has a line break in it. Without a key, one that nobody else can have. */
function keyOf({ id, taskId, tenantId, idempotency }: RunRequest): string {
  return idempotency ? `${tenantId}\n${taskId}\n${idempotency.key}` : id
}

function tenantKey({ request }: InlineRun): string {
  return `${request.taskId}\n${request.tenantId}`
}
