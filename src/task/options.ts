/** The options of a trigger and of waiting for its run, checked and in milliseconds. */
import { isDate } from 'node:util/types'
import { InvalidTriggerOptionsError } from '../errors.ts'
import { type Duration, parseDuration } from './duration.ts'

export interface TriggerOptions {
  /** Scoped to task and tenant. The same key answers the same run while that run is open or completed. */
  idempotencyKey?: string
  /** How long a key is remembered; 7 days by default. */
  idempotencyKeyTtl?: Duration
  /** Start after this long. Not together with `runAt`. */
  delay?: Duration
  /** Start at this time, a Date or ISO 8601 text; at once if it is over. At most ten years ahead. */
  runAt?: Date | string
  /** Higher runs first; 0 by default. */
  priority?: number
  /** If the run has not started this long after it could have, it expires instead. */
  ttl?: Duration
  /** At most 10 texts of at most 128 characters, to find the run by. */
  tags?: readonly string[]
  /** Instead of the task's own `retry.maxAttempts`. */
  maxAttempts?: number
}

export interface WaitOptions {
  /** Give up waiting after this long (the run goes on); '10m' by default. */
  timeout?: Duration
  /** Stop waiting when this aborts. */
  signal?: AbortSignal
}

export interface TriggerSettings {
  idempotency: { key: string; ttlMs: number } | null
  delayMs: number
  runAt: Date | null
  priority: number
  ttlMs: number | null
  tags: readonly string[]
  maxAttempts: number
}

const triggerOptions: readonly string[] = [
  'idempotencyKey',
  'idempotencyKeyTtl',
  'delay',
  'runAt',
  'priority',
  'ttl',
  'tags',
  'maxAttempts',
] satisfies (keyof TriggerOptions)[]
const waitOptions: readonly string[] = ['timeout', 'signal'] satisfies (keyof WaitOptions)[]

const day = 86_400_000
const farthest = 3650 * day

export function readTriggerOptions(
  options: TriggerOptions,
  defaults: { maxAttempts: number },
): TriggerSettings {
  checkNames(options, triggerOptions)
  return {
    idempotency: readIdempotency(options),
    ...readStart(options),
    priority: readPriority(options.priority ?? 0),
    ttlMs: options.ttl === undefined ? null : readDuration('ttl', options.ttl, 1_000, farthest),
    tags: readTags(options.tags ?? []),
    maxAttempts: readMaxAttempts(options.maxAttempts ?? defaults.maxAttempts),
  }
}

/** When a run that waits for its time is to start instead. */
export type NewStart = Pick<TriggerOptions, 'delay' | 'runAt'>

export function readNewStart(options: NewStart): { delayMs: number; runAt: Date | null } {
  checkNames(options, ['delay', 'runAt'])
  if (options.delay === undefined && options.runAt === undefined) refuse('say when: delay or runAt')
  return readStart(options)
}

export interface WaitSettings {
  timeoutMs: number
  signal?: AbortSignal
}

export function readWaitOptions(options: WaitOptions): WaitSettings {
  checkNames(options, waitOptions)
  const { timeout = '10m', signal } = options
  const timeoutMs = parseDuration(timeout, 1)
  if (timeoutMs === null) refuse("timeout must be a duration like '30s' or '2h', of at least 1 ms")
  if (signal === undefined) return { timeoutMs }
  if (typeof signal?.throwIfAborted !== 'function') refuse('signal must be an AbortSignal')
  return { timeoutMs, signal }
}

/** Those of `triggerAndWait`: how to wait, checked; and what is left, for `readTriggerOptions`. */
export function splitOptions(options: TriggerOptions & WaitOptions): {
  waiting: WaitSettings
  triggering: TriggerOptions
} {
  checkNames(options, [...triggerOptions, ...waitOptions])
  const { timeout, signal, ...triggering } = options
  const waiting = readWaitOptions({
    ...(timeout !== undefined && { timeout }),
    ...(signal !== undefined && { signal }),
  })
  return { waiting, triggering }
}

/** An option that nobody reads is a mistake that nobody sees. */
function checkNames(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    refuse('they must be an object')
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) refuse(`there is no option ${unknown}`)
}

function readIdempotency(options: TriggerOptions): TriggerSettings['idempotency'] {
  const { idempotencyKey: key, idempotencyKeyTtl: ttl } = options
  if (key === undefined) {
    if (ttl !== undefined) refuse('idempotencyKeyTtl needs an idempotencyKey')
    return null
  }
  if (typeof key !== 'string' || key.length === 0 || key.length > 512 || !isStorable(key)) {
    refuse('idempotencyKey must be a text of 1 to 512 characters without NUL')
  }
  return { key, ttlMs: readDuration('idempotencyKeyTtl', ttl ?? 7 * day, 1_000, farthest) }
}

function readStart({ delay, runAt }: TriggerOptions): { delayMs: number; runAt: Date | null } {
  if (runAt === undefined) {
    return { delayMs: delay === undefined ? 0 : readDuration('delay', delay, 0, farthest), runAt: null }
  }
  if (delay !== undefined) refuse('delay and runAt exclude each other')
  const time = readTime(runAt)
  if (time === null) refuse('runAt must be a Date or an ISO 8601 text')
  if (time.getTime() < 0) refuse('runAt is before 1970')
  if (time.getTime() > Date.now() + farthest) refuse('runAt is more than ten years away')
  return { delayMs: 0, runAt: time }
}

/** Date would also take '5' and 'May 5', each for a year of its own. */
const isoTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/

function readTime(value: unknown): Date | null {
  if (!isDate(value) && !(typeof value === 'string' && isoTime.test(value))) return null
  const time = new Date(value)
  return Number.isNaN(time.getTime()) ? null : time
}

function readPriority(priority: number): number {
  if (!Number.isInteger(priority) || Math.abs(priority) > 1_000_000) {
    refuse('priority must be a whole number from -1000000 to 1000000')
  }
  return priority
}

function readTags(tags: readonly string[]): readonly string[] {
  const fine = (tag: unknown) =>
    typeof tag === 'string' && tag.length > 0 && tag.length <= 128 && isStorable(tag)
  if (!Array.isArray(tags) || tags.length > 10 || !tags.every(fine)) {
    refuse('tags must be at most 10 texts of 1 to 128 characters')
  }
  return [...new Set(tags)]
}

function readMaxAttempts(maxAttempts: number): number {
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 100) {
    refuse('maxAttempts must be a whole number from 1 to 100')
  }
  return maxAttempts
}

function readDuration(name: string, value: Duration, min: number, max: number): number {
  const read = parseDuration(value, min, max)
  if (read === null) refuse(`${name} must be a duration like '30s' or '2h', from ${min} ms to ${max} ms`)
  return read
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

function refuse(problem: string): never {
  throw new InvalidTriggerOptionsError(`These options cannot be used: ${problem}.`)
}
