/** A table for a terminal: as wide as its contents, cut where the terminal is narrower. */
import { stripVTControlCharacters } from 'node:util'

export interface Column<Row> {
  title: string
  value(row: Row): string
  align?: 'right'
  /** May be cut to fit; ids never are, for they are there to be copied. */
  mayCut?: true
  /** Left out where cutting is not enough; of several, the last one first. */
  mayGo?: true
}

const gap = '  '
const narrowest = 8

/** Lines without a line break at the end. A pipe or a file has no width. */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number = process.stdout.columns ?? Number.POSITIVE_INFINITY,
): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map((one) => plain(one.value(row)))),
  ]
  const widths = fittingWidths(columns, cells, width)
  const spare = columns.findLastIndex(({ mayGo }) => mayGo)
  if (total(widths) > width && spare >= 0) return formatTable(rows, columns.toSpliced(spare, 1), width)
  const lines = cells.map((line) =>
    line.map((cell, index) => pad(cell, widths[index]!, columns[index]!.align)),
  )
  return lines.map((line) => line.join(gap).trimEnd()).join('\n')
}

/** What is shown may come from a payload or an error: no escape sequence reaches the terminal, and a cell is one line. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}+/gu, ' ')
}

function fittingWidths<Row>(
  columns: readonly Column<Row>[],
  cells: readonly string[][],
  width: number,
): number[] {
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]!.length)))
  while (total(widths) > width) {
    const widest = widestToCut(columns, widths)
    if (widest === undefined) break
    widths[widest]! -= 1
  }
  return widths
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, one) => sum + one, gap.length * (widths.length - 1))
}

function widestToCut<Row>(columns: readonly Column<Row>[], widths: readonly number[]): number | undefined {
  const candidates = [...columns.keys()].filter(
    (index) => columns[index]!.mayCut && widths[index]! > narrowest,
  )
  return candidates.sort((a, b) => widths[b]! - widths[a]!)[0]
}

function pad(cell: string, width: number, align: 'right' | undefined): string {
  if (cell.length > width) return `${cell.slice(0, width - 1)}…`
  return align === 'right' ? cell.padStart(width) : cell.padEnd(width)
}
