/** The runs that this worker has claimed and not settled: what its heartbeats speak for. */
import type { Database } from '../../db/database.ts'
import { RunCancelledError, RunLostError, WorkerStoppingError } from '../../errors.ts'
import type { AnyTask } from '../../task/define.ts'
import type { Claim } from './claim.ts'
import { beat, cancelledAmong } from './heartbeat.ts'

export interface Flight {
  readonly task: AnyTask
  readonly claim: Claim
  /** Aborted with a RunCancelledError, RunLostError or WorkerStoppingError. */
  readonly abort: AbortController
  startedAt: number
}

export class Flights {
  readonly #flights = new Map<string, Flight>()
  #whenEmpty: (() => void)[] = []

  get count(): number {
    return this.#flights.size
  }

  has(runId: string): boolean {
    return this.#flights.has(runId)
  }

  /** The flight of this very claim: the run may have been lost, and be ours again by a later one. */
  of(claim: Claim): Flight | undefined {
    const flight = this.#flights.get(claim.id)
    return flight?.claim === claim ? flight : undefined
  }

  add(task: AnyTask, claim: Claim): Flight {
    // We lost this run and have just got it back: the attempt that still runs is not the run's any more.
    this.#flights.get(claim.id)?.abort.abort(new RunLostError())
    const flight: Flight = { task, claim, abort: new AbortController(), startedAt: performance.now() }
    this.#flights.set(claim.id, flight)
    return flight
  }

  remove(claim: Claim): void {
    if (this.of(claim)) this.#flights.delete(claim.id)
    if (this.#flights.size > 0) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  cancelled(runId: string): void {
    this.#flights.get(runId)?.abort.abort(new RunCancelledError())
  }

  stopAll(): void {
    for (const { abort } of this.#flights.values()) abort.abort(new WorkerStoppingError())
  }

  async empty(): Promise<void> {
    if (this.#flights.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
  }

  /** One heartbeat for all. Runs that are not ours any more get their signal aborted. */
  async beat(queue: Database): Promise<void> {
    const flights = [...this.#flights.values()].filter(({ abort }) => !abort.signal.aborted)
    if (flights.length === 0) return
    const ours = await beat(queue, flights.map(claimOf))
    // What was settled while the heartbeat travelled is not lost.
    const gone = flights.filter(
      (flight) => !ours.has(flight.claim.id) && this.#flights.get(flight.claim.id) === flight,
    )
    if (gone.length === 0) return
    const cancelled = await cancelledAmong(queue, gone.map(claimOf))
    for (const { claim, abort } of gone) {
      abort.abort(cancelled.has(claim.id) ? new RunCancelledError() : new RunLostError())
    }
  }
}

function claimOf({ claim }: Flight): Claim {
  return claim
}
