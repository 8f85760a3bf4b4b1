/** The run that a schedule asks for: one for each tenant and occasion, whoever asks for it and however often. */
import { hasFixedTimes } from '../task/cron.ts'
import { derivedRunId, hashOf } from '../task/derived-id.ts'
import type { JsonValue } from '../task/json.ts'
import type { RunRequest } from '../task/run.ts'
import { localTime } from './local-time.ts'
import { type Schedule, scheduleId } from './schedule.ts'

export interface Occasion {
  /** What makes it one occasion and no other. */
  name: string
  /** Milliseconds from now; below zero: it is over. */
  inMs: number
}

export interface Member {
  tenantId: string
  /** Instead of the schedule's own, without `tenantId`. */
  payload: Record<string, JsonValue> | null
}

export function toRequest(schedule: Schedule, { tenantId, payload }: Member, occasion: Occasion): RunRequest {
  const { task, rule } = schedule
  return {
    id: derivedRunId([scheduleId(schedule), tenantId, occasion.name]),
    taskId: task.id,
    tenantId,
    input: { ...(payload ?? rule.payload), tenantId },
    parentRunId: null,
    triggeredBy: { kind: 'schedule', ref: scheduleId(schedule) },
    replayOf: null,
    repeatable: true,
    // The id is the key: an engine that is asked for the same run again has it already.
    idempotency: null,
    delayMs: Math.max(0, occasion.inMs + placeInWindow(schedule, tenantId)),
    runAt: null,
    priority: 0,
    ttlMs: null,
    tags: [scheduleTag(schedule)],
    maxAttempts: task.retry.maxAttempts,
  }
}

/** On every run of the schedule; a run has its task beside it. */
export function scheduleTag({ key }: Pick<Schedule, 'key'>): string {
  return `schedule:${key}`
}

/**
 * A fixed time of the day is told by the clock on the tenant's wall, so a tenant that moves to a time zone where that
 * time comes once more on the same day does not get it twice. An interval goes by real time.
 */
export function nameOfTime(cron: string, timezone: string, nominalAt: Date): string {
  return hasFixedTimes(cron) ? localTime(nominalAt, timezone).clock : nominalAt.toISOString()
}

/** Milliseconds, the same at every tick, so that the runs of one tenant stay equally far apart. */
function placeInWindow(schedule: Schedule, tenantId: string): number {
  const share = hashOf([scheduleId(schedule), tenantId]).readUInt32BE() / 2 ** 32
  return Math.floor(schedule.rule.windowMs * share)
}
