/**
 * Does the steps of bulk actions that are due, in any process that has one; between them they keep its pace. And deletes
 * the old ones, for there is a driver wherever there are bulk actions, whatever the engine.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { leaveScopes } from '../../db/scope.ts'
import type { BulkDependencies } from './deps.ts'
import { deleteOldActions } from './retention.ts'
import { takeStep } from './step.ts'

/** For what nobody was told of, and while an action runs. */
const lookEveryMs = 1_000
const deleteOldEveryMs = 3_600_000

export class BulkDriver {
  readonly #dependencies: BulkDependencies
  readonly #logger: Logger
  readonly #stopping = new AbortController()
  #deleteOldAt = 0
  #woken = Promise.withResolvers<void>()
  readonly #running: Promise<void>

  constructor(dependencies: BulkDependencies, logger: Logger) {
    this.#dependencies = dependencies
    this.#logger = logger
    this.#running = leaveScopes(() => this.#run())
  }

  /** An action was confirmed. */
  wake(): void {
    this.#woken.resolve()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.wake()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        while (!signal.aborted && (await takeStep(this.#dependencies)));
      } catch (error) {
        this.#logger.error({ err: error }, 'A step of a bulk action failed; it is tried again')
      }
      await this.#deleteOld()
      await this.#pause(signal)
    }
  }

  /** Steps come first. */
  async #deleteOld(): Promise<void> {
    if (this.#stopping.signal.aborted || performance.now() < this.#deleteOldAt) return
    this.#deleteOldAt = performance.now() + deleteOldEveryMs
    try {
      await deleteOldActions(this.#dependencies.database)
    } catch (error) {
      this.#logger.error({ err: error }, 'Deleting old bulk actions failed; it is tried again in an hour')
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const waited = sleep(lookEveryMs, undefined, { signal, ref: false }).catch(() => {})
    await Promise.race([waited, this.#woken.promise])
    this.#woken = Promise.withResolvers()
  }
}
