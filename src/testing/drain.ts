/** Running whatever is due, until nothing is. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Platform } from '../platform.ts'
import type { AnyTask } from '../task/define.ts'
import { type Duration, parseDuration } from '../task/duration.ts'
import { type FinalState, finalStates, isFinal, type RunState } from '../task/run.ts'
import type { EngineControl } from './engine-control.ts'

export interface DrainOptions {
  /** Tasks, their ids, or prefixes like `orders/*`; all by default. */
  only?: readonly (AnyTask | string)[]
  /** Runs in flight at once; 10 by default. */
  concurrency?: number
  /** How long it may take, in real time; '10s' by default. */
  timeout?: Duration
}

/** Runs that ended, by the state they ended in. A run that waits for its retry has not. */
export type Drained = Record<FinalState, number>

const pauseMs = 5

export async function drain(
  platform: Platform,
  control: EngineControl,
  { only, concurrency = 10, timeout = '10s' }: DrainOptions,
): Promise<Drained> {
  const timeoutMs = parseDuration(timeout, 1)
  if (timeoutMs === null) throw new TypeError("timeout must be a duration like '30s'.")
  const drained = Object.fromEntries(finalStates.map((state) => [state, 0])) as Drained
  const patterns = only?.map((task) => (typeof task === 'string' ? task : task.id))
  const registered = new Set((await platform.registry()).list().map(({ id }) => id))
  const isMine = (taskId: string) => registered.has(taskId) && (!patterns || patterns.some(matches(taskId)))
  const worker = await platform.startWorker({
    concurrency,
    schedules: false,
    ...(patterns && { only: patterns }),
    onSettled: ({ outcome }) => {
      if (isFinal(outcome as RunState)) drained[outcome as FinalState] += 1
    },
  })
  let left: Map<string, number>
  try {
    left = await untilIdle(control, isMine, timeoutMs)
  } finally {
    await worker.stop({ timeoutMs: 0 })
  }
  const unknown = [...left.keys()].filter((taskId) => !registered.has(taskId))
  if (unknown.length > 0 && !patterns) throw unregistered(unknown)
  return drained
}

async function untilIdle(
  control: EngineControl,
  isMine: (taskId: string) => boolean,
  timeoutMs: number,
): Promise<Map<string, number>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const left = await control.unfinished()
    const mine = [...left].filter(([taskId]) => isMine(taskId))
    if (mine.length === 0) return left
    if (performance.now() > deadline) throw tookTooLong(mine, timeoutMs)
    await sleep(pauseMs)
  }
}

function matches(taskId: string): (pattern: string) => boolean {
  return (pattern) => (pattern.endsWith('*') ? taskId.startsWith(pattern.slice(0, -1)) : taskId === pattern)
}

function tookTooLong(left: [taskId: string, runs: number][], timeoutMs: number): Error {
  const list = left.map(([taskId, runs]) => `${runs} of ${taskId}`).join(', ')
  return new Error(
    `drain() gave up after ${timeoutMs} ms with runs that are still running or due: ${list}. A run that waits for a child ends only when the child's retries or delays are over: advance() the clock meanwhile.`,
  )
}

function unregistered(taskIds: string[]): Error {
  return new Error(
    `drain() cannot run ${taskIds.join(', ')}: not among the tasks of this test platform. Add it: createTestPlatform({ tasks: [...] }).`,
  )
}
