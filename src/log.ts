/** The platform's logger: one JSON line an event, and of an error no more than says what happened. */
import { type DestinationStream, type Logger, pino } from 'pino'

export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { err: errorFields } }
  return destination ? pino(options, destination) : pino(options)
}

/** pino would write every field, and a Postgres error has the whole client, its cancel key included, and rows in `detail`. */
function errorFields(error: unknown) {
  if (!(error instanceof Error)) return error
  const { type, message, stack } = pino.stdSerializers.err(error)
  return { type, code: (error as NodeJS.ErrnoException).code, message, stack }
}
