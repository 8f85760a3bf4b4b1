/**
 * Trigger.dev lets a run wait for one thing at a time: a second wait beside the first is an error there. So all waits of
 * an attempt, for a time or for a child, take turns here. Who finds the turn taken waits in place meanwhile.
 */
export class WaitTurn {
  #waiting: Promise<unknown> | null = null

  /** Null: the turn is taken. It is given back when the wait is over, also where nobody awaits that any more. */
  begin(wait: () => PromiseLike<unknown>): Promise<unknown> | null {
    if (this.#waiting) return null
    this.#waiting = Promise.resolve()
      .then(wait)
      .finally(() => {
        this.#waiting = null
      })
    return this.#waiting
  }

  /** Settles when the wait that has the turn is over, whatever it came to. */
  async free(): Promise<void> {
    await this.#waiting?.catch(() => {})
  }
}
