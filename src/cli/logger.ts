/** Logs go to stderr, for stdout belongs to results: JSON for machines, short lines for a person at a terminal. */
import { stripVTControlCharacters } from 'node:util'
import { type DestinationStream, type Logger, pino } from 'pino'

export function createLogger(level: string): Logger {
  const destination = process.stderr.isTTY ? terminal : pino.destination({ fd: 2, sync: true })
  return pino({ level, base: null, serializers: { err: errorFields } }, destination)
}

/** pino would write every field, and a Postgres error has the whole client, its cancel key included, and rows in `detail`. */
function errorFields(error: unknown) {
  if (!(error instanceof Error)) return error
  const { type, message, stack } = pino.stdSerializers.err(error)
  return { type, code: (error as NodeJS.ErrnoException).code, message, stack }
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
