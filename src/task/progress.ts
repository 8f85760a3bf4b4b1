/** How far a run says it has come. */
import { cleanText } from '../clean-text.ts'
import { InvalidProgressError } from '../errors.ts'

/** A share from 0 to 1, so many of so many, or what the run is at. */
export type ProgressInput = number | string | { current: number; total: number; message?: string }

export interface Progress {
  /** From 0 to 1; null where the run only said what it is at. */
  fraction: number | null
  current: number | null
  total: number | null
  message: string | null
}

const maxMessageLength = 500

/** @throws InvalidProgressError */
export function parseProgress(value: unknown): Progress {
  if (typeof value === 'number' && value >= 0 && value <= 1) return { ...unknown, fraction: value }
  if (typeof value === 'string') return { ...unknown, message: cleanText(value, maxMessageLength) }
  if (typeof value === 'object' && value !== null) return parseCount(value)
  throw new InvalidProgressError(
    typeof value === 'number'
      ? `${value} is no share from 0 to 1`
      : `${value === null ? 'null' : typeof value} is no progress`,
  )
}

const unknown: Progress = { fraction: null, current: null, total: null, message: null }

function parseCount(value: object): Progress {
  const { current, total, message = null, ...rest } = value as Record<string, unknown>
  const [stranger] = Object.keys(rest)
  if (stranger !== undefined) throw new InvalidProgressError(`progress has no ${JSON.stringify(stranger)}`)
  if (!isCount(current) || !isCount(total)) {
    throw new InvalidProgressError('current and total must be numbers from 0 on')
  }
  if (message !== null && typeof message !== 'string')
    throw new InvalidProgressError('message must be a text')
  return {
    // More than was expected is done, and nothing of nothing as well.
    fraction: current >= total ? 1 : current / total,
    current,
    total,
    message: message === null ? null : cleanText(message, maxMessageLength),
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
