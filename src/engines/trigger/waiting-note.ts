/**
 * Why a run waits, in the metadata of the run: Trigger.dev itself only knows that it does. Whoever reads runs finds it
 * there; it is gone once the run goes on.
 */
import type { JsonValue, RunError } from '../../task/json.ts'

export const waitingKey = 'waiting'

export interface WaitingNote {
  /** `held`: until somebody does something. The others: until a time. */
  state: 'held' | 'scheduled' | 'retrying'
  /** `tenant`, or the service that is held. */
  by: string | null
  reason: RunError
  /** ISO 8601; null when it is not known. */
  until: string | null
}

/** Null: it does not wait, or somebody else has written there. */
export function readWaitingNote(metadata: unknown): WaitingNote | null {
  if (!isObject(metadata)) return null
  const note = metadata[waitingKey]
  if (!isObject(note) || !isObject(note.reason)) return null
  const known = note.state === 'held' || note.state === 'scheduled' || note.state === 'retrying'
  return known ? (note as unknown as WaitingNote) : null
}

function isObject(value: unknown): value is { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
