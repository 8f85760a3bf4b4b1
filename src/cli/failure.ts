/** What a person reads when a command fails: a sentence for what they can mend, a stack for what only we can. */
import { CommanderError } from 'commander'
import { JobsError } from '../errors.ts'
import { redact } from '../redact.ts'
import { Interrupted } from './interrupt.ts'

const refused = 1
/** 128 and SIGINT's number, as of an `Interrupted`. */
const interrupted = 130
const notACommandLine = 2
/** EX_SOFTWARE of sysexits.h. */
export const defect = 70

/** Writes to stderr; answers the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : notACommandLine // It has been written already.
  if (error instanceof Interrupted) return error.exitCode
  if (isCtrlCAtPrompt(error)) return interrupted
  const sentence = error instanceof JobsError ? `${error.message} (${error.code})` : unusableDatabase(error)
  if (sentence === null) {
    console.error(redact(withCauses(error)))
    return defect
  }
  console.error(`cgk: ${redact(sentence)}`)
  return refused
}

/** A prompt reads the keys itself, so there it is no signal. By name, for no command but those that ask loads the library. */
function isCtrlCAtPrompt(error: unknown): boolean {
  return error instanceof Error && error.name === 'ExitPromptError'
}

const unreachable = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
]
/** Postgres: login refused, no such database, too many connections, starting up or shutting down. */
const turnedAway = /^(28...|3D000|53300|57P0[1-3])$/
const mayNot = '42501'

/** Commands speak to nobody but the database, so what fails or refuses is it. */
function unusableDatabase(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code === mayNot) {
    return `The login in DATABASE_URL may not do this: ${error.message}. Use the one that the platform was migrated with; cgk doctor says what it needs. (${code})`
  }
  if (!unreachable.includes(code) && !turnedAway.test(code)) return null
  // One attempt per address of a name: the aggregate itself has no message.
  const reason = error instanceof AggregateError ? String(error.errors[0]?.message) : error.message
  return `The database cannot be used: ${reason}. Check DATABASE_URL and that the server runs. (${code})`
}

/** Stacks only: the fields of a Postgres error may quote rows. */
function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return `Thrown: ${String(error)}`
  const own = error.stack ?? String(error)
  return error.cause === undefined ? own : `${own}\nCaused by: ${withCauses(error.cause)}`
}
