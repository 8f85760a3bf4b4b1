/** What a run has logged, as a person reads it. */
import type { RunLogLine } from '../runs/journal/read-lines.ts'
import { plural } from './print.ts'
import { plain } from './table.ts'

export class TextPrinter {
  #seq = 0
  #attempt = 1

  gapBefore({ seq }: RunLogLine): void {
    const missing = seq - this.#seq - 1
    this.#seq = seq
    if (missing > 0) console.log(`(${plural(missing, 'line')} not kept)`)
  }

  /** `2026-11-23 13:57:55.123Z info  Fetched a page  page=3` */
  line({ attempt, at, level, message, fields }: RunLogLine): void {
    if (attempt !== this.#attempt) console.log(`Attempt ${attempt}:`)
    this.#attempt = attempt
    const { err, ...others } = fields
    const time = `${at.toISOString().slice(0, 23).replace('T', ' ')}Z`
    const named = Object.entries(others).map(
      ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    )
    console.log(plain(`${time} ${level.padEnd(5)} ${[message, ...named].filter(Boolean).join('  ')}`))
    for (const text of errorLines(err)) console.log(`  ${plain(text)}`)
  }
}

function errorLines(err: unknown): string[] {
  if (err === undefined) return []
  const stack = typeof err === 'object' && err !== null && 'stack' in err ? err.stack : undefined
  return typeof stack === 'string' ? stack.split('\n') : [JSON.stringify(err)]
}
