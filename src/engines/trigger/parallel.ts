/** Many calls, but not all at once: Trigger.dev counts them. */

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
