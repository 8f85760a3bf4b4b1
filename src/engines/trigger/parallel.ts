/** Many calls, but not all at once: Trigger.dev counts them. */

/** Work of many callers: so much of it goes on at once, and the rest waits in line. */
export class Line {
  readonly #atOnce: number
  readonly #inLine: (() => void)[] = []
  #going = 0

  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  async run<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    if (this.#going >= this.#atOnce) await new Promise<void>((resolve) => this.#inLine.push(resolve))
    else this.#going += 1
    try {
      return await work()
    } finally {
      // Whoever is next takes over the place.
      const next = this.#inLine.shift()
      if (next) next()
      else this.#going -= 1
    }
  }
}

/** Answers in the order of `items`. The first failure ends it. */
export async function inParallel<Item, Answer>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  const answers = new Array<Answer>(items.length)
  let next = 0
  const one = async () => {
    while (next < items.length) {
      const index = next
      next += 1
      answers[index] = await work(items[index]!)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, one))
  return answers
}
