/** Reading what was typed. What is wrong here is a usage error; what a value means is checked by the platform. */
import { InvalidArgumentError } from 'commander'
import { parseDuration } from '../task/duration.ts'

export function wholeNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

export function atLeastOne(text: string): number {
  const number = wholeNumber(text)
  if (number < 1) throw new InvalidArgumentError('It must be at least 1.')
  return number
}

export function oneToHundred(text: string): number {
  const number = wholeNumber(text)
  if (number < 1 || number > 100) throw new InvalidArgumentError('It must be from 1 to 100.')
  return number
}

/** An object. What was typed is not repeated: it may be nobody's business. */
export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>
    }
  } catch {}
  throw new InvalidArgumentError('It must be a JSON object, quoted for the shell: \'{"name":"value"}\'.')
}

/** A time as ISO 8601 writes it, or how long ago it was. */
export function timeAgo(text: string): Date {
  const ago = parseDuration(text)
  const time = ago === null ? new Date(text) : new Date(Date.now() - ago)
  if (!Number.isNaN(time.getTime())) return time
  throw new InvalidArgumentError('It must be a time like 2026-11-23T13:00:00Z, or a duration like 2h.')
}

/** `a,b` and a repeated option come to the same. */
export function list(text: string, before: readonly string[] = []): string[] {
  return [
    ...before,
    ...text
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
  ]
}

/** A text that may contain commas, given several times. */
export function repeated(text: string, before: readonly string[] = []): string[] {
  return [...before, text]
}

/** Why, for the audit log: as the HTTP API takes it. */
export function reasonText(text: string): string {
  const reason = text.trim()
  if (reason !== '' && reason.length <= 1_000) return reason
  throw new InvalidArgumentError('It must say why, in 1 to 1000 characters.')
}
