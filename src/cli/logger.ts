/** Logs go to stderr, for stdout belongs to results: JSON for machines, short lines for a person at a terminal. */
import { stripVTControlCharacters } from 'node:util'
import { type DestinationStream, type Logger, pino } from 'pino'
import { createLogger } from '../log.ts'

/** Synchronous, so that the last line before an exit is written. */
export function createCliLogger(level: string): Logger {
  return createLogger(level, process.stderr.isTTY ? terminal : pino.destination({ fd: 2, sync: true }))
}

const terminal: DestinationStream = {
  write(line) {
    process.stderr.write(`${readable(JSON.parse(line))}\n`)
  },
}

interface LogLine {
  level: number
  time: number
  msg?: string
  err?: { stack?: string }
  [field: string]: unknown
}

/** `13:57:55 warn  Not listening; polling instead  task=orders/process-order tenant=rawdog` */
export function readable({ level, time, msg = '', err, ...fields }: LogLine): string {
  const clock = new Date(time).toTimeString().slice(0, 8)
  const name = (pino.levels.labels[level] ?? String(level)).padEnd(5)
  const rest = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const stack = err?.stack ? `\n${err.stack}` : ''
  return stripVTControlCharacters(`${clock} ${name} ${[msg, ...rest].join('  ')}${stack}`)
}
