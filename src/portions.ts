/** What a provider, an engine or a statement does not take all at once. */
export function* portions<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let start = 0; start < all.length; start += size) yield all.slice(start, start + size)
}
