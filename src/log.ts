/**
 * The platform's logger: one JSON line an event, of an error no more than says what happened, and never a secret. Fields
 * that are named like one are masked, and every value that this process has decrypted, wherever it stands in the line.
 */
import { isSpanContextValid, trace } from '@opentelemetry/api'
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'
import { redacted, redactJson } from './redact.ts'

/** Under these names nothing is written, at the top of a line and two levels below. */
const secretFields = [
  ...[
    'password',
    'passwordHash',
    'secret',
    'secretKey',
    'token',
    'tokenHash',
    'tokenSecret',
    'accessToken',
    'apiKey',
  ],
  ...['authorization', 'cookie', 'credential', 'credentials', 'webhookSecret', 'encryptionKeys'],
  ...[
    'secret_key',
    'token_secret',
    'access_token',
    'api_key',
    'api_token',
    'webhook_secret',
    'password_hash',
  ],
]

export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    serializers: { err: errorFields },
    mixin: traceFields,
    redact: {
      paths: secretFields.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: redacted,
    },
    hooks: { streamWrite: redactJson },
  }
  return destination ? pino(options, destination) : pino(options)
}

/** Where the line was written, for whoever looks at a trace and wants its lines. */
function traceFields(): object {
  const span = trace.getActiveSpan()?.spanContext()
  return span && isSpanContextValid(span) ? { trace_id: span.traceId, span_id: span.spanId } : {}
}

/** pino would write every field, and a Postgres error has the whole client, its cancel key included, and rows in `detail`. */
function errorFields(error: unknown) {
  if (!(error instanceof Error)) return error
  const { type, message, stack } = pino.stdSerializers.err(error)
  return { type, code: (error as NodeJS.ErrnoException).code, message, stack }
}
