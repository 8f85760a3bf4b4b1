/**
 * When Trigger.dev gives an attempt up, for good: the run is TIMED_OUT, whatever its rule says. Our own timeout decides for
 * each execution, and is retried. Trigger.dev adds up all executions of an attempt and the short waits between them (pause.ts
 * sleeps those in place), and a run that asks every few seconds whether a provider has finished has many: a day of them.
 */
import type { AnyTask } from '../../task/define.ts'

const manyExecutionsSeconds = 86_400
/** For starting, and for cleaning up after our timeout. */
const besidesSeconds = 5

export function maxDurationSeconds({ timeoutMs }: AnyTask): number {
  return besidesSeconds + Math.ceil(timeoutMs / 1000) + manyExecutionsSeconds
}
