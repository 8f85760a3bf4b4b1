/**
 * The way into a queue: validate the payload, tenant known and active, admit, enqueue. Whatever is refused is refused
 * before anything is queued.
 */
import { randomUUID } from 'node:crypto'
import { InvalidTriggerOptionsError, TenantMismatchError } from '../errors.ts'
import { currentRun } from './context.ts'
import type { AnyTask } from './define.ts'
import { currentDispatcher, type Dispatcher } from './dispatcher.ts'
import { readTriggerOptions, splitOptions, type TriggerOptions, type WaitOptions } from './options.ts'
import { acceptPayload } from './payload.ts'
import type { Run, RunHandle, RunRequest, RunResult } from './run.ts'

export type { WaitOptions } from './options.ts'

export interface BatchItem<Payload> {
  payload: Payload
  options?: TriggerOptions
}

export async function trigger(task: AnyTask, payload: unknown, options?: TriggerOptions): Promise<RunHandle> {
  const dispatcher = currentDispatcher()
  const request = await prepareRun(dispatcher, task, payload, options)
  const [handle] = await dispatcher.enqueue([request])
  return handle!
}

export async function batchTrigger(
  task: AnyTask,
  items: readonly BatchItem<unknown>[],
): Promise<RunHandle[]> {
  checkItems(items)
  const dispatcher = currentDispatcher()
  const requests: RunRequest[] = []
  for (const item of items) requests.push(await prepareRun(dispatcher, task, item.payload, item.options))
  return requests.length === 0 ? [] : await dispatcher.enqueue(requests)
}

export async function triggerAndWait<Output>(
  task: AnyTask,
  payload: unknown,
  options: TriggerOptions & WaitOptions = {},
): Promise<RunResult<Output>> {
  const { waiting, triggering } = splitOptions(options)
  const dispatcher = currentDispatcher()
  if (dispatcher.insideTransaction()) {
    throw new InvalidTriggerOptionsError(
      `${task.id} cannot be waited for inside transaction(): its run exists only once that has committed. Trigger it inside, and wait outside with runs.wait(id).`,
    )
  }
  const { id } = await trigger(task, payload, triggering)
  const parent = currentRun()
  const signal = waiting.signal ?? parent?.signal
  const wait = () => dispatcher.waitFor(id, signal ? { ...waiting, signal } : waiting)
  return asResult<Output>(parent ? await parent.whileWaiting(wait) : await wait())
}

function asResult<Output>(run: Run): RunResult<Output> {
  if (run.state === 'completed') return { ok: true, id: run.id, output: run.output as Output }
  if (run.state === 'failed' || run.state === 'cancelled' || run.state === 'expired') {
    return { ok: false, id: run.id, state: run.state, error: run.error }
  }
  throw new TypeError(`Run ${run.id} is ${run.state}; it has no result yet.`)
}

function checkItems(items: readonly BatchItem<unknown>[]): void {
  if (!Array.isArray(items)) {
    throw new InvalidTriggerOptionsError('A batch is a list of items like { payload, options }.')
  }
  const wrong = items.findIndex((item) => typeof item !== 'object' || item === null)
  if (wrong >= 0) {
    throw new InvalidTriggerOptionsError(
      `Item ${wrong} of the batch must be an object like { payload, options }.`,
    )
  }
}

/** What is to be queued, once everything has been checked. @throws InvalidPayloadError, UnknownTenantError, TenantSuspendedError. */
export async function prepareRun(
  dispatcher: Dispatcher,
  task: AnyTask,
  payload: unknown,
  options: TriggerOptions = {},
): Promise<RunRequest> {
  const { tenantId, input } = await acceptPayload(task.id, task.schema, payload, dispatcher.maxPayloadBytes)
  const settings = readTriggerOptions(options, { maxAttempts: task.retry.maxAttempts })
  const surrounding = dispatcher.currentTenant()
  if (surrounding !== null && surrounding !== tenantId) throw new TenantMismatchError(surrounding, tenantId)
  await dispatcher.admitTenant(tenantId)
  const parentRunId = currentRun()?.runId ?? null
  return {
    id: randomUUID(),
    taskId: task.id,
    tenantId,
    input,
    parentRunId,
    triggeredBy: parentRunId === null ? { kind: 'app', ref: null } : { kind: 'run', ref: parentRunId },
    replayOf: null,
    ...settings,
  }
}
