/** Asking what waits in the queue, and saying what does when it is not what the test expected. */
import { AssertionError } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import type { Engine } from '../engines/engine.ts'
import type { AnyTask } from '../task/define.ts'
import { openStates, type Run } from '../task/run.ts'

export interface ExpectedRun<T extends AnyTask = AnyTask> {
  tenantId?: string
  /** What the payload must have at least; an array must be equal as a whole. */
  payload?: Partial<z.input<T['schema']>>
}

/** Lists longer than this are cut in a failure's message. */
const shown = 20

/** The newest run that fits. */
export async function assertEnqueued(engine: Engine, taskId: string, expected: ExpectedRun): Promise<Run> {
  const open = await openRuns(engine)
  const found = open.find((run) => fits(run, taskId, expected))
  if (found) return found
  throw failure(`No run of ${describe(taskId, expected)} is enqueued.`, open)
}

export async function refuteEnqueued(engine: Engine, taskId: string, expected: ExpectedRun): Promise<void> {
  const open = await openRuns(engine)
  if (!open.some((run) => fits(run, taskId, expected))) return
  throw failure(`A run of ${describe(taskId, expected)} is enqueued, but none should be.`, open)
}

async function openRuns(engine: Engine): Promise<Run[]> {
  const runs: Run[] = []
  let after: string | null = null
  do {
    const page = await engine.list({ states: openStates, limit: 1000, ...(after !== null && { after }) })
    runs.push(...page.runs)
    after = page.next
  } while (after !== null)
  return runs
}

function fits(run: Run, taskId: string, { tenantId, payload }: ExpectedRun): boolean {
  return (
    run.taskId === taskId &&
    (tenantId === undefined || run.tenantId === tenantId) &&
    // As JSON, which is what the queue holds: a Date in the test is compared as its text.
    (payload === undefined || contains(run.payload, JSON.parse(JSON.stringify(payload))))
  )
}

function contains(actual: unknown, expected: unknown): boolean {
  if (!isObject(expected) || !isObject(actual)) return isDeepStrictEqual(actual, expected)
  return Object.entries(expected).every(
    ([key, value]) => Object.hasOwn(actual, key) && contains(actual[key], value),
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describe(taskId: string, { tenantId, payload }: ExpectedRun): string {
  const tenant = tenantId === undefined ? '' : ` for tenant ${tenantId}`
  return payload === undefined ? `${taskId}${tenant}` : `${taskId}${tenant} with ${JSON.stringify(payload)}`
}

function failure(problem: string, open: Run[]): AssertionError {
  const lines = open.slice(0, shown).map((run) => {
    return `  ${run.taskId} (${run.state}, tenant ${run.tenantId}) ${JSON.stringify(run.payload)}`
  })
  if (open.length > shown) lines.push(`  and ${open.length - shown} more`)
  const list = open.length === 0 ? 'The queue is empty.' : `Enqueued, newest first:\n${lines.join('\n')}`
  return new AssertionError({ message: `${problem}\n${list}` })
}
