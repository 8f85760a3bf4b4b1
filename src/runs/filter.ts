/** What runs can be listed by, checked before anything is asked. */
import { isDate } from 'node:util/types'
import type { RunFilter } from '../engines/engine.ts'
import { InvalidRunFilterError } from '../errors.ts'
import { type RunState, runStates, triggerKinds } from '../task/run.ts'

export const largestPage = 1000
const usualPage = 50

type Check = (value: unknown, name: string) => void

const checks: Record<keyof RunFilter, Check> = {
  tenantId: text,
  taskId: text,
  states,
  tag: text,
  from: time,
  to: time,
  fingerprint: text,
  errorText: text,
  idPrefix,
  triggeredBy,
  replayOf: text,
  limit,
  after: text,
}

/** @throws InvalidRunFilterError. */
export function checkFilter(filter: Partial<RunFilter> = {}): RunFilter {
  if (typeof filter !== 'object' || filter === null) {
    throw new InvalidRunFilterError('A filter must be an object like { tenantId, states }.')
  }
  for (const [name, value] of Object.entries(filter)) {
    if (!Object.hasOwn(checks, name)) throw new InvalidRunFilterError(`Runs cannot be filtered by ${name}.`)
    if (value !== undefined) checks[name as keyof RunFilter](value, name)
  }
  const { limit = usualPage, ...rest } = filter
  return { ...rest, limit }
}

export function text(value: unknown, name: string): void {
  if (typeof value !== 'string') throw new InvalidRunFilterError(`${name} must be a text.`)
  if (value.includes('\0')) throw new InvalidRunFilterError(`${name} has a NUL character.`)
}

function states(list: unknown): void {
  const known = (state: unknown) => runStates.includes(state as RunState)
  if (Array.isArray(list) && list.length > 0 && list.every(known)) return
  throw new InvalidRunFilterError(`states must be some of ${runStates.join(', ')}.`)
}

export function time(value: unknown, name: string): void {
  if (isDate(value) && !Number.isNaN(value.getTime())) return
  throw new InvalidRunFilterError(`${name} must be a Date.`)
}

/** Shorter ones would be a good part of all runs, in no order. */
function idPrefix(value: unknown): void {
  if (typeof value === 'string' && /^[0-9a-f-]{4,36}$/i.test(value) && uuidPattern.test(fill(value, '0')))
    return
  throw new InvalidRunFilterError('idPrefix must be the first 4 or more hexadecimal digits of an id.')
}

function triggeredBy(value: unknown): void {
  const { kind, ref } = (value ?? {}) as { kind?: unknown; ref?: unknown }
  if (!triggerKinds.some((known) => known === kind)) {
    throw new InvalidRunFilterError(`triggeredBy.kind must be one of ${triggerKinds.join(', ')}.`)
  }
  if (ref !== undefined) text(ref, 'triggeredBy.ref')
}

function limit(value: unknown): void {
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= largestPage) return
  throw new InvalidRunFilterError(`limit must be a whole number from 1 to ${largestPage}.`)
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** The first and the last id that begin so. */
export function idRange(prefix: string): [first: string, last: string] {
  return [fill(prefix, '0'), fill(prefix, 'f')]
}

function fill(prefix: string, digit: string): string {
  return prefix + '00000000-0000-0000-0000-000000000000'.slice(prefix.length).replaceAll('0', digit)
}

export function isRunId(id: string): boolean {
  return uuidPattern.test(id)
}

/** A place between two runs, in the order of `created_at` and `id`, newest first. */
export interface Cursor {
  /** Postgres's own text, to the microsecond. */
  createdAt: string
  id: string
}

/** @throws InvalidRunFilterError. */
export function readCursor(after: string): Cursor {
  const [createdAt = '', id = ''] = after.split('_')
  if (isRunId(id) && /^\d{4}-\d{2}-\d{2} [\d:.]+[+-][\d:]+$/.test(createdAt)) return { createdAt, id }
  throw new InvalidRunFilterError('`after` is not the `next` of a page of runs.')
}
