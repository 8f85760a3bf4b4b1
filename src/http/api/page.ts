/** One page of a list that is read one row further than a page goes, to know whether there is more. */

/** `after` of the page behind it is what `cursorOf` answers for the last row. */
export function cutPage<Row>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (last: Row) => string,
): { rows: readonly Row[]; next: string | null } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return { rows: page, next: last !== undefined && rows.length > limit ? cursorOf(last) : null }
}
