/**
 * How many runs a second this worker finishes, over about the last quarter of a second. Short runs are claimed ahead
 * and settled in larger batches; slow ones are not, for a run claimed ahead is one that an idle worker elsewhere cannot
 * take.
 */
const memoryMs = 250

export class Pace {
  #perMs = 0
  #at = performance.now()

  finished(): void {
    this.#perMs = this.#faded() + 1 / memoryMs
  }

  /** Runs that will probably finish within `ms`. */
  within(ms: number): number {
    this.#perMs = this.#faded()
    return Math.floor(this.#perMs * ms)
  }

  #faded(): number {
    const now = performance.now()
    const faded = this.#perMs * Math.exp((this.#at - now) / memoryMs)
    this.#at = now
    return faded
  }
}
