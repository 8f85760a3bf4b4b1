/**
 * The logger of a run: what it and its children write goes to the process's log as ever, and each line is handed on as
 * it stands there: at or above the configured level, with its secrets taken out.
 */
import { type DestinationStream, type Logger, pino } from 'pino'

/** `logger` is a child of the run's own; it stays what it is but for where its lines go. */
export function handOnLines(logger: Logger, handOn: (level: number, json: string) => void): Logger {
  const key = streamKeyOf(logger)
  // No pino: its lines go where they go.
  if (key === undefined) return logger
  const owned = logger as unknown as Record<symbol, DestinationStream>
  owned[key] = new Fork(owned[key] as Destination, handOn)
  return logger
}

const { streamSym, needsMetadataGsym } = pino.symbols

/** An app may bring a logger of its own pino, which is another copy with symbols of its own. */
function streamKeyOf(logger: Logger): symbol | undefined {
  for (let owner: object | null = logger; owner !== null; owner = Object.getPrototypeOf(owner)) {
    const found = Object.getOwnPropertySymbols(owner).find(
      (symbol) => symbol === streamSym || symbol.description === streamSym.description,
    )
    if (found !== undefined) return found
  }
  return undefined
}

/** What pino leaves on a stream that asks for it, before each line. */
interface Metadata {
  lastLevel?: number
  lastObj?: object
  lastMsg?: string
  lastTime?: string
  lastLogger?: Logger
}

interface Destination extends DestinationStream, Metadata {
  [needsMetadataGsym]?: boolean
  flush?(done?: (error?: Error) => void): void
  flushSync?(): void
}

/** Between loggers and their destination, with everything that pino does to one. */
class Fork implements Destination {
  readonly [needsMetadataGsym] = true
  lastLevel = 0
  readonly #destination: Destination
  readonly #handOn: (level: number, json: string) => void

  constructor(destination: Destination, handOn: (level: number, json: string) => void) {
    this.#destination = destination
    this.#handOn = handOn
  }

  write(json: string): void {
    if (this.#destination[needsMetadataGsym]) this.#passMetadata()
    this.#destination.write(json)
    this.#handOn(this.lastLevel, json)
  }

  flush(done?: (error?: Error) => void): void {
    if (this.#destination.flush) this.#destination.flush(done)
    else done?.()
  }

  flushSync(): void {
    this.#destination.flushSync?.()
  }

  #passMetadata(): void {
    const { lastLevel, lastObj, lastMsg, lastTime, lastLogger } = this as Metadata
    Object.assign(this.#destination, { lastLevel, lastObj, lastMsg, lastTime, lastLogger })
  }
}
