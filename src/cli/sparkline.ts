/** A series of numbers as one line of bars, the highest as high as a line is. */
const bars = '▁▂▃▄▅▆▇█'

/** Nothing is a dot, so that little is told from none. */
export function sparkline(values: readonly number[]): string {
  const highest = Math.max(...values)
  return values
    .map((value) => (value <= 0 ? '·' : bars[Math.ceil((value / highest) * bars.length) - 1]))
    .join('')
}
