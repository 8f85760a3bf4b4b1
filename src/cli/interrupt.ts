/**
 * Ctrl-C and its kin. The first asks to stop; the command lets go of everything and ends. The second ends at once.
 *
 * Leaving at once must not leave the embedded Postgres running without a user. Stopping it takes the folder's lock and
 * some milliseconds, so a process of its own does it after we are gone.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { extname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

type StopSignal = 'SIGHUP' | 'SIGINT' | 'SIGTERM'
const stopSignals: readonly StopSignal[] = ['SIGHUP', 'SIGINT', 'SIGTERM']

/** One Ctrl-C arrives twice under npm: from the terminal, and passed on by npm. */
const sameKeyPressMs = 500

export class Interrupted extends Error {
  /** Of a signal as shells count: 128 and the signal's number. */
  readonly exitCode: number

  constructor(by: string, exitCode: number) {
    super(`Stopped by ${by}.`)
    this.name = 'Interrupted'
    this.exitCode = exitCode
  }
}

const abort = new AbortController()
let askedAt = 0
let isListening = false

/** Aborts when somebody asks this process to stop; the reason is an `Interrupted`. From the first call on, we decide how to end. */
export function stopAsked(): AbortSignal {
  if (isListening) return abort.signal
  isListening = true
  for (const signal of stopSignals) {
    process.on(signal, () => {
      const interrupted = new Interrupted(signal, 128 + constants.signals[signal])
      if (!abort.signal.aborted) askToStop(interrupted)
      else if (performance.now() - askedAt > sameKeyPressMs) leaveAtOnce(interrupted.exitCode)
    })
  }
  return abort.signal
}

/** As a first Ctrl-C does. Who asks later changes nothing. */
export function askToStop(reason: Interrupted): void {
  if (abort.signal.aborted) return
  askedAt = performance.now()
  abort.abort(reason)
}

export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

let embeddedFolder: string | undefined

/** From now on this process may be a user of the embedded Postgres in this folder. */
export function usesEmbedded(dataDir: string): void {
  embeddedFolder = dataDir
}

export function leaveAtOnce(exitCode: number): never {
  if (embeddedFolder !== undefined) {
    const script = new URL(`./stop-abandoned${extname(import.meta.url)}`, import.meta.url)
    const args = [fileURLToPath(script), embeddedFolder, String(process.pid)]
    spawn(process.execPath, args, { detached: true, stdio: 'ignore' }).unref()
  }
  process.exit(exitCode)
}
