/**
 * A run that comes back later waits in place: same run, same attempt. Above a few seconds Trigger.dev does the waiting,
 * and may freeze the process meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { metadata, wait } from '@trigger.dev/sdk'
import type { Logger } from 'pino'
import type { WaitTurn } from './wait-turn.ts'
import { type WaitingNote, waitingKey } from './waiting-note.ts'

/** Trigger.dev sleeps in place up to here; so do we, and it need not warn about it. */
const shortMs = 5_000
/** Trigger.dev could not be asked to wait, or waits for a child that the run has left behind: again after this long. */
const againMs = 5_000

/** @throws the reason of the signal. */
export async function pause(
  delayMs: number,
  note: WaitingNote,
  signal: AbortSignal,
  turn: WaitTurn,
  logger: Logger,
): Promise<void> {
  signal.throwIfAborted()
  if (delayMs <= shortMs) return await sleepInPlace(delayMs, signal)
  metadata.set(waitingKey, { ...note, reason: { ...note.reason } })
  await metadata.flush()
  try {
    await waitOutside(Date.now() + delayMs, signal, turn, logger)
  } finally {
    metadata.del(waitingKey)
    // Not left to the next flush by itself: until then, readers would see a run that waits.
    await metadata.flush()
  }
}

/** One that a process has left behind which died while it waited. */
export function dropOldNote(): void {
  if (metadata.get(waitingKey) !== undefined) metadata.del(waitingKey)
}

async function waitOutside(
  until: number,
  signal: AbortSignal,
  turn: WaitTurn,
  logger: Logger,
): Promise<void> {
  for (;;) {
    const leftMs = until - Date.now()
    if (leftMs <= shortMs) return await sleepInPlace(leftMs, signal)
    const waiting = turn.begin(() => wait.for({ seconds: leftMs / 1000 }))
    if (!waiting) {
      await sleepInPlace(againMs, signal)
      continue
    }
    try {
      return await orAborted(waiting, signal)
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ err: error }, 'Trigger.dev could not be asked to wait; it is asked again')
      await sleepInPlace(againMs, signal)
    }
  }
}

async function sleepInPlace(delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs <= 0) return
  await sleep(delayMs, undefined, { signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    throw error
  })
}

async function orAborted(waiting: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    waiting.then(() => resolve(), reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
